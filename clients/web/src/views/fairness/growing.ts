// The epochs that the page has been told of, page after page, without a gap and each once.
import type { FairnessList, Headline } from "./answers.ts";

/** So many epochs may come by themselves, while the page is open, until it begins anew. */
export const GROWN_EPOCHS_MAX = 200;

type Page = Pick<FairnessList, "epochs" | "nextCursor">;

export interface Known {
  /** Newest first. */
  epochs: readonly Headline[];
  /** For earlier ones, as `before`; null where there are none. */
  earlier: string | null;
  /** How many there may be before the page begins anew. */
  epochsMax: number;
}

/** After the newest page. Where it does not reach back to what is known there may be a gap, so all begins anew. */
export function withNewest(known: Known | undefined, page: Page): Known {
  const [newest, oldest] = [known?.epochs[0]?.epoch, page.epochs.at(-1)?.epoch];
  const isJoined = newest !== undefined && oldest !== undefined && page.epochs.some(({ epoch }) => epoch === newest);
  const older = isJoined ? known!.epochs.filter(({ epoch }) => epoch < oldest) : [];
  const epochs = [...page.epochs, ...older];
  if (older.length === 0 || epochs.length > known!.epochsMax) {
    return { epochs: page.epochs, earlier: page.nextCursor, epochsMax: page.epochs.length + GROWN_EPOCHS_MAX };
  }
  return { ...known!, epochs };
}

/** After the page that was asked for with `before`: of no use where all has begun anew meanwhile. */
export function withEarlier(known: Known | undefined, before: string, page: Page): Known | undefined {
  if (!known || known.earlier !== before) return known;
  return { epochs: [...known.epochs, ...page.epochs], earlier: page.nextCursor, epochsMax: known.epochsMax + page.epochs.length };
}
