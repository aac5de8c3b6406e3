/** Brings what is queued to the collector, and takes from the queue what it answered for. */

import { entryText, MOST_IN_A_BATCH, nameOf, TIME, type Entry, type Queue } from "./queue.js";
import type { AnalyticsEvent, Settings } from "./settings.js";
import type { Store } from "./store.js";

const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 10 * 60_000;
const LONGEST_TIMER = 2 ** 31 - 1;
// The collector answers within 40 seconds.
const ANSWER = 60_000;

export interface Sender {
    /** Sends all that is queued, batch by batch, unless it must not now. */
    send(): Promise<void>;
    /** Sends what this page made while it may be closing; nobody hears the answer, so all of it stays queued. */
    leave(made: Set<string>): void;
    /** The line is back. */
    forgive(): void;
    /** Milliseconds until it may send again; weeks once the collector refused the page. */
    pause(): number;
}

export function newSender(
    settings: Settings, name: string, queue: Queue, kept: Store, tab: Store,
    allowed: () => boolean, problem: (problem: string, event?: AnalyticsEvent) => void,
): Sender {
    let most = MOST_IN_A_BATCH;
    let failures = 0;
    let stopped = false;
    let lineBack = 0;
    let clockSet = false;
    let onTheWay: Entry[] = [];

    /** How far the browser's clock is behind the collector's, as far as it is known. */
    const offset = () => +tab.read("offset")!;

    function pause(): number {
        if (stopped) return LONGEST_TIMER;
        // The first is the collector's wish: of all tabs, and after a reload. A clock that was put back prolongs none.
        const left = [+kept.read("until")!, lineBack].map((until) => until - Date.now());
        return Math.max(0, ...left.filter((wait) => wait <= LONGEST_PAUSE));
    }

    const may = () => allowed() && navigator.onLine && !pause();

    function bodyOf(entries: Entry[]): string {
        const sentAt = new Date(Date.now() + offset()).toISOString();
        const events = entries.map((entry) => entry.body);
        return `{"write_key":${JSON.stringify(settings.writeKey)},"sent_at":"${sentAt}","events":[${events}]}`;
    }

    /** Whether to go on with what is left. */
    async function sendBatch(): Promise<boolean> {
        const entries = queue.take(queue.names(), most, offset());
        const first = entries[0];
        if (!first) return false;
        // Such a request outlives its page. All of them may have 64 KiB together, so that one may fail for others.
        const keepalive = !failures;
        if (keepalive) onTheWay = entries;
        let answer: Response | undefined;
        let said: any;
        try {
            answer = await fetch(settings.endpoint, {
                method: "POST", body: bodyOf(entries), keepalive, signal: AbortSignal.timeout?.(ANSWER),
            });
            said = await answer.json();
        } catch {
            // A line that broke; or an answer that is not the collector's own, of which the status tells enough.
        }
        onTheWay = [];
        // What was withdrawn meanwhile is forgotten, and so is the answer.
        if (!allowed()) return false;
        const status = answer?.status ?? 0;

        // Some networks answer 200 themselves, with a page of their own.
        if (answer?.ok && said?.rejected) {
            for (const { index, field, error } of said.rejected) {
                const { event, offset: used } = entries[index]!;
                // Refused for a time of before the clock's error was known, it is stored under no time at all.
                if (used !== offset() && TIME.test(field)) queue.settle(entries[index]!, entryText(event));
                else problem(error, event);
            }
            entries.forEach((entry) => queue.settle(entry));
            most = MOST_IN_A_BATCH;
            failures = 0;
            return !(clockSet = false);
        }
        const serverTime = Date.parse(said?.server_time);
        if (status === 409 && serverTime) {
            // Nothing of it is stored: what had no final times before has none now.
            entries.forEach((entry) => queue.settle(entry, entry.found));
            tab.write("offset", `${serverTime - Date.now()}`);
            if (!clockSet) return (clockSet = true);
        } else if (status === 400 || status === 413 || status === 415) {
            most = entries.length >> 1;
            if (most) return true;
            most = MOST_IN_A_BATCH;
            queue.settle(first);
            problem(`${status} ${said?.error}`, first.event);
            return true;
        } else if (status > 400 && status < 500 && ![408, 409, 429].includes(status)) {
            stopped = true;
            problem(`${status} ${said?.error}: silent until reload`);
            return false;
        }
        wait(answer);
        return false;
    }

    function wait(answer: Response | undefined): void {
        const given = answer?.headers.get("Retry-After");
        const after = +given! * 1000 || Date.parse(given!) - Date.now() - offset() || 0;
        const longest = FIRST_PAUSE * 2 ** failures++ * (0.5 + Math.random() / 2);
        const until = Date.now() + Math.min(Math.max(after, longest), LONGEST_PAUSE);
        if (answer) kept.write("until", `${until}`);
        else lineBack = until;
    }

    return {
        pause,
        forgive: () => void (lineBack = 0),
        async send() {
            const sendAll = async () => {
                while (may() && (await sendBatch()));
            };
            // One tab at a time, unless it sleeps. Locks are there on https pages only, and not where storage is
            // forbidden; without them tabs may send the same event at once, which the collector stores once.
            try {
                await navigator.locks.request(name, { signal: AbortSignal.timeout?.(ANSWER) }, sendAll);
            } catch {
                await sendAll();
            }
        },
        leave(made) {
            for (const { event } of onTheWay) made.delete(nameOf(event));
            let part = MOST_IN_A_BATCH;
            while (may() && part) {
                const names = queue.names().filter((each) => made.has(each));
                const entries = queue.take(names, part, offset());
                if (!entries.length) return;
                if (navigator.sendBeacon(settings.endpoint, bodyOf(entries))) {
                    for (const { event } of entries) made.delete(nameOf(event));
                } else {
                    entries.forEach((entry) => queue.settle(entry, entry.found));
                    part = entries.length >> 1;
                }
            }
        },
    };
}
