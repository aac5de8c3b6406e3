/** The batcher of a page. */

import { newId } from "./identifiers.js";
import { MOST_IN_A_BATCH, nameOf, openQueue } from "./queue.js";
import { newSender } from "./sender.js";
import { cardFields, continued, handOver, keep, type Session } from "./sessions.js";
import type { AnalyticsEvent, Batcher, Settings } from "./settings.js";
import { openStore } from "./store.js";

export type { AnalyticsEvent, Batcher, Card, ClickCategory, PageType, Settings } from "./settings.js";

const FLUSH = 10_000;
const SOON = 1_000;
// Whatever the collector takes is smaller.
const MOST_CHARACTERS = 20_000;

export function createBatcher(settings: Settings): Batcher {
    const prefix = `analytics:${encodeURIComponent(settings.projectId)}:`;
    const kept = openStore("localStorage", prefix);
    const tab = openStore("sessionStorage", prefix);
    const queue = openQueue(`${prefix}queue:`);
    const made = new Set<string>();
    const sender = newSender(settings, prefix, queue, kept, tab, allowed, problem);
    let consent = settings.consent ?? true;
    let sending: Promise<void> | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let due = 0;

    function problem(text: string, event?: AnalyticsEvent): void {
        try {
            settings.onProblem?.(text, event);
        } catch {
            // The page's own error is not ours to show, nor may it stop what goes on here.
        }
    }

    /** Nothing that goes wrong here may break the page. */
    function safely<Result>(work: () => Result): Result | undefined {
        try {
            return work();
        } catch (error) {
            problem(`${error}`);
            return undefined;
        }
    }

    function allowed(): boolean {
        const { doNotTrack, globalPrivacyControl } = navigator as Navigator & { globalPrivacyControl?: boolean };
        const silenced = (doNotTrack === "1" || globalPrivacyControl) && (settings.honourDoNotTrack ?? true);
        return consent && !kept.read("out") && !silenced;
    }

    function visitor(session: Session, time: number): string {
        if (settings.visitorId) return settings.visitorId;
        if (settings.visitor === "session") return session.id;
        const id = kept.read("visitor") ?? newId(time);
        kept.write("visitor", id);
        return id;
    }

    function add(event: AnalyticsEvent): void {
        made.add(nameOf(event));
        batcher.dropped += queue.put(event);
    }

    function record(type: "page_view" | "click" | "event", timeField: string, fields: object): string | undefined {
        return safely(() => {
            if (!allowed()) return;
            const card = batcher.card;
            if (type !== "event" && !card) return problem(`${type}: expected a card, got none`);
            const time = Date.now();
            const session = continued(tab, card, time);
            const event = {
                type, id: newId(time), session_id: session.id,
                ...(type === "event"
                    ? { project_id: settings.projectId, visitor_id: visitor(session, time) }
                    : cardFields(card)),
                ...fields, [timeField]: time,
            };
            if (JSON.stringify(event).length > MOST_CHARACTERS) {
                return problem(`${type}: expected at most ${MOST_CHARACTERS} characters, got more`, event);
            }
            if (type === "page_view") session.page_views++;
            if (type === "click") session.clicks++;
            keep(tab, card, session);
            if (card) add(session);
            add(event);
            if (queue.names().length < MOST_IN_A_BATCH) sendIn(FLUSH);
            else void send();
            return event.id;
        }) as string | undefined;
    }

    function send(): Promise<void> {
        sending ??= sender
            .send()
            .finally(() => {
                sending = undefined;
                if (allowed() && queue.names().length) sendIn(Math.max(FLUSH, sender.pause()));
            })
            .catch((error) => problem(`${error}`));
        return sending;
    }

    /** Unless that is to happen sooner. */
    function sendIn(wait: number): void {
        const at = Date.now() + wait;
        if (due && due <= at) return;
        clearTimeout(timer);
        due = at;
        timer = setTimeout(() => {
            due = 0;
            void send();
        }, wait);
    }

    function setConsent(given: boolean): void {
        safely(() => {
            consent = given;
            if (given) return;
            const out = kept.read("out");
            for (const store of [queue, kept, tab]) store.clear();
            kept.write("out", out);
        });
    }

    function leave(): void {
        safely(() => sender.leave(made));
    }

    const batcher: Batcher = {
        card: settings.card,
        dropped: 0,
        trackPageView: (page) => record("page_view", "viewed_at", { page_type: page }),
        trackClick: (category, target) =>
            record("click", "clicked_at", { click_category: category, click_target: target }),
        track: (type, label, data) =>
            record("event", "created_at", { event_type: type, event_label: label, event_data: data }),
        flush: send,
        setConsent,
        optOut() {
            setConsent(false);
            kept.write("out", "1");
        },
        optIn() {
            kept.write("out");
            setConsent(true);
        },
    };

    safely(() => {
        // Not unload, which keeps pages out of the back/forward cache, and which phones do not always say.
        addEventListener("pagehide", () => {
            leave();
            handOver(tab);
        });
        document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && leave());
        addEventListener("online", () => {
            sender.forgive();
            void send();
        });
        // What another tab queues is left to it for a while, and sent from here when it has gone.
        addEventListener("storage", ({ key, newValue }) => {
            if (newValue && key?.startsWith(`${prefix}queue:`)) sendIn(FLUSH * 1.5);
        });
        // What an earlier page left.
        if (queue.names().length) sendIn(SOON);
    });
    return batcher;
}
