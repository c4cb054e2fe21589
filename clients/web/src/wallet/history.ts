// A list that grows at both ends: older entries by the cursor of the last page, newer ones by the cursor of what is known.
export interface History<Entry> {
  /** Newest first. */
  entries: readonly Entry[];
  /** For older ones, as `before`; null where there are none. */
  older: string | null;
  /** For newer ones, as `after`. */
  newer: string;
}

export const GROWN_ENTRIES_MAX = 200;

export interface PageOf<Entry> {
  entries: readonly Entry[];
  nextCursor: string | null;
  latestCursor: string;
}

/** After a page that was asked for with neither. */
export function begun<Entry>(page: PageOf<Entry>): History<Entry> {
  return { entries: page.entries, older: page.nextCursor, newer: page.latestCursor };
}

/** After a page that was asked for with `before`. */
export function withOlder<Entry>(history: History<Entry>, page: PageOf<Entry>): History<Entry> {
  return { entries: [...history.entries, ...page.entries], older: page.nextCursor, newer: history.newer };
}

/** After a page that was asked for with `after`, which is oldest first. */
export function withNewer<Entry>(history: History<Entry>, page: PageOf<Entry>): History<Entry> {
  return { entries: [...page.entries].reverse().concat(history.entries), older: history.older, newer: page.latestCursor };
}

/** Whether so much has come by itself, while the page was open, that it begins anew: a page that stays open for days would
 * hold ever more. What a person has asked for stays for so long. */
export function isTooLong<Entry>({ entries }: History<Entry>, askedFor: number): boolean {
  return entries.length - askedFor > GROWN_ENTRIES_MAX;
}

/** One thing after another, however the one before ended: an answer that makes no sense is no reason never to ask again. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  take(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.catch(() => undefined).then(work);
    return this.#last;
  }
}
