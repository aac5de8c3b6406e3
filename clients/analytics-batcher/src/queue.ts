/**
 * Events that wait for an answer, one entry each, in localStorage: all tabs add to it, and any of them sends it.
 *
 * An entry is an event with the times of the browser's clock, and how far that was behind the collector's clock when it
 * was first sent. From then on its times are final: it may be stored, and must not be sent again as of another time.
 */

import type { AnalyticsEvent } from "./settings.js";
import { openStore, type Store } from "./store.js";

export const MOST_IN_A_BATCH = 50;
// The browser's limit for what is sent while a page closes is 64 KiB.
const MOST_BYTES = 60_000;
const ENVELOPE_BYTES = 500;
const MOST_KEPT = 500;
const MOST_KEPT_CHARACTERS = 200_000;

/** The fields of an event that are times: viewed_at, clicked_at, created_at, first_seen, last_seen. */
export const TIME = /_(at|seen)$/;

/** An event on its way. */
export interface Entry {
    event: AnalyticsEvent;
    offset: number;
    /** As the collector takes it. */
    body: string;
    /** What the queue had, and has now that its times are final. */
    found: string;
    final: string;
}

export interface Queue extends Store {
    /** Adds or replaces it; returns how many of the oldest had to go. */
    put(event: AnalyticsEvent): number;
    /** The first of these as one batch, with final times. */
    take(names: string[], most: number, offset: number): Entry[];
    /** Removes it, or puts it back as `text`; unless it was replaced on its way, as sessions are. */
    settle(entry: Entry, text?: string): void;
}

export function openQueue(prefix: string): Queue {
    const store = openStore("localStorage", prefix);
    return {
        ...store,
        put(event) {
            store.write(nameOf(event), entryText(event));
            const names = store.names();
            const texts = names.map(store.read);
            let dropped = 0;
            for (; texts.length > MOST_KEPT || texts.join("").length > MOST_KEPT_CHARACTERS; texts.shift()) {
                store.write(names[dropped++]!);
            }
            return dropped;
        },
        take(names, most, offset) {
            const entries: Entry[] = [];
            let bytes = ENVELOPE_BYTES;
            for (const name of names) {
                const found = store.read(name);
                // Another tab had it answered.
                if (!found) continue;
                const entry = read(name, found, offset);
                if (!entry) {
                    store.write(name);
                    continue;
                }
                bytes += new Blob([entry.body]).size + 1;
                if (entries.length === most || (entries.length && bytes > MOST_BYTES)) break;
                store.write(name, entry.final);
                entries.push(entry);
            }
            return entries;
        },
        settle(entry, text) {
            const name = nameOf(entry.event);
            if (store.read(name) === entry.final) store.write(name, text);
        },
    };
}

/** Names sort by time; those of sessions come last, for a session that is dropped is queued again by the next event. */
export function nameOf(event: AnalyticsEvent): string {
    return (event.type === "session" ? "s" : "") + event.id;
}

/** With a final offset, or, as yet, none. */
export function entryText(event: AnalyticsEvent, offset?: number): string {
    return JSON.stringify([event, offset]);
}

/** Nothing when the text is none of ours, or that of another name: it could never be settled. */
function read(name: string, found: string, offset: number): Entry | undefined {
    try {
        const [event, final] = JSON.parse(found);
        if (nameOf(event) !== name) return;
        const used = final ?? offset;
        const sent = { ...event };
        for (const field in sent) {
            if (!TIME.test(field)) continue;
            // It was made by now, whatever the clock said then: one that was ahead was put right since.
            if (final === null) event[field] = Math.min(event[field], Date.now());
            sent[field] = new Date(event[field] + used).toISOString();
        }
        return { event, offset: used, body: JSON.stringify(sent), found, final: entryText(event, used) };
    } catch {
        return undefined;
    }
}
