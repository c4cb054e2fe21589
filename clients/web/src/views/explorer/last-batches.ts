// The last batches with their signatures, for who took part in them. Batches never change: the browser keeps them.
import { StepError } from "step-client";
import { useEffect, useState } from "preact/hooks";
import { ask } from "../../shell/node.ts";
import type { Batch, Batches } from "./answers.ts";

/** What a look at these costs a node is a few seconds of a visitor's share. */
export const BATCHES_LOOKED_AT = 20;

/** Oldest first; undefined until they are here.  */
export function useLastBatches(): { batches: Batch[] | undefined; error: StepError | undefined } {
  const [state, setState] = useState<{ batches: Batch[] | undefined; error: StepError | undefined }>({ batches: undefined, error: undefined });
  useEffect(() => {
    const stop = new AbortController();
    lastBatches(stop.signal)
      .then((batches) => stop.signal.aborted || setState({ batches, error: undefined }))
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        if (!(error instanceof StepError)) throw error;
        setState({ batches: undefined, error });
      });
    return () => stop.abort();
  }, []);
  return state;
}

async function lastBatches(signal: AbortSignal): Promise<Batch[]> {
  const { batches } = await ask<Batches>("/batches", { limit: BATCHES_LOOKED_AT }, signal);
  const heights = batches.map((batch) => batch.height).reverse();
  return Promise.all(heights.map((height) => ask<Batch>(`/batch/${height}`, {}, signal)));
}
