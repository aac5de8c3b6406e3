/** A visit to a card in one tab: it ends after 30 minutes without an event, or after a day. */

import { newId } from "./identifiers.js";
import type { AnalyticsEvent, Card } from "./settings.js";
import type { Store } from "./store.js";

const IDLE = 30 * 60_000;
const LONGEST = 24 * 60 * 60_000;
// A clock that was put back further than this makes times of which no session can be.
const BACK = 60_000;

// Tells this page from one whose tab was copied, sessions and all.
const page = String(Math.random());

export interface Session extends AnalyticsEvent {
    first_seen: number;
    last_seen: number;
    page_views: number;
    clicks: number;
}

/** The session in which something happens now; it is the event that tells of it, too. */
export function continued(tab: Store, card: Card | undefined, time: number): Session {
    const holder = tab.read("page");
    if (holder !== page) {
        // Whoever left this tab took its name along; it is still there when a tab was copied from one that lives on.
        if (holder) tab.clear();
        tab.write("page", page);
    }
    const kept = JSON.parse(tab.read(nameOf(card)) ?? "null") as Session | null;
    const idle = kept ? time - kept.last_seen : IDLE;
    const current = kept && idle < IDLE && idle > -BACK && time - kept.first_seen < LONGEST ? kept : begun(card, time);
    current.last_seen = Math.max(time, current.last_seen);
    return current;
}

export function keep(tab: Store, card: Card | undefined, session: Session): void {
    tab.write(nameOf(card), JSON.stringify(session));
}

/** The page goes; the tab's next one may have its sessions. */
export function handOver(tab: Store): void {
    tab.write("page");
}

function begun(card: Card | undefined, time: number): Session {
    const id = newId(time);
    return {
        type: "session", id, session_id: id, ...cardFields(card),
        first_seen: time, last_seen: time, page_views: 0, clicks: 0,
        // Without what follows the path: it may say who came.
        referrer: document.referrer.split(/[?#]/, 1)[0]?.slice(0, 2000),
    };
}

export function cardFields(card: Card | undefined): Record<string, unknown> {
    return card ? { user_code: card.userCode, share_code: card.shareCode, contact_id: card.contactId } : {};
}

function nameOf(card: Card | undefined): string {
    return `session:${card?.userCode ?? ""}`;
}
