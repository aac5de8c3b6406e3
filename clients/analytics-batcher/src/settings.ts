/** What a page says when it makes a batcher, and what it gets. */

export type PageType = "home" | "contact" | "profile" | "portfolio";
export type ClickCategory = "contact" | "messaging" | "social" | "portfolio" | "aiAgent" | "other";

/** The card that the page shows: whose it is, the group link that it was opened by, and whom it was shared with. */
export interface Card {
    userCode: string;
    shareCode?: string | undefined;
    contactId?: string | undefined;
}

export interface Settings {
    /** The collector's address: https://collect.example.com/v1/batch */
    endpoint: string;
    writeKey: string;
    /** The write key's project. What is stored in the browser is kept apart by it. */
    projectId: string;
    /** Page views, clicks and sessions are of a card; without one only `track` is of use. */
    card?: Card | undefined;
    /** Who visits, where the page knows. */
    visitorId?: string | undefined;
    /** Otherwise: an id `kept` in the browser, or that of the tab's `session`, after which nobody knows them. */
    visitor?: "kept" | "session" | undefined;
    /** False until the visitor has agreed: nothing is stored or sent before. Default: true. */
    consent?: boolean | undefined;
    /** Whether Do Not Track and Global Privacy Control silence it. Default: true. */
    honourDoNotTrack?: boolean | undefined;
    /** Told what was refused, dropped or went wrong. Nothing is ever thrown into the page. */
    onProblem?: ((problem: string, event?: AnalyticsEvent) => void) | undefined;
}

/** An event in the collector's words; times are milliseconds of the browser's clock until it is sent. */
export interface AnalyticsEvent {
    type: "session" | "page_view" | "click" | "event";
    id: string;
    session_id: string;
    [field: string]: unknown;
}

export interface Batcher {
    /** The card may change while the page stays. */
    card: Card | undefined;
    /** How many events were dropped unsent because the queue was full, since the page was loaded. */
    dropped: number;
    /** Each returns the id of its event, or nothing where there is none. */
    trackPageView(page: PageType): string | undefined;
    trackClick(category: ClickCategory, target?: string): string | undefined;
    track(type: string, label?: string, data?: Record<string, unknown>): string | undefined;
    /** Sends what is queued now, unless the collector asked for a pause; resolves when that was tried. */
    flush(): Promise<void>;
    /** The visitor agrees; or does not any more, and what is stored is forgotten, sent or not. */
    setConsent(given: boolean): void;
    /** Forgets everything and stays silent in this browser, also after a reload, until `optIn`. */
    optOut(): void;
    optIn(): void;
}
