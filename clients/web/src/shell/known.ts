// What is known of an answer, and of what question: the answer to another one is never shown in its place, not even for the
// moment until it is asked.
import type { StepError } from "step-client";

export interface Known<T> {
  asksFor: string;
  answer?: T;
  error?: StepError;
}

/** Nothing, if what is known is of another question. */
export function knownOf<T>(known: Known<T>, asksFor: string): Known<T> {
  return known.asksFor === asksFor ? known : { asksFor };
}

/**
 * Looks at once, also in a page that was opened in the background and is not seen yet, and again every `everyMs`, if given,
 * while it is seen. Ends when the function that is given back is called.
 */
export function lookedAfter(everyMs: number | undefined, isHidden: () => boolean, look: (signal: AbortSignal) => Promise<void>): () => void {
  const stop = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const goOn = () => {
    if (everyMs === undefined || stop.signal.aborted) return;
    timer = setTimeout(() => (isHidden() ? goOn() : void look(stop.signal).then(goOn)), everyMs);
  };
  void look(stop.signal).then(goOn);
  return () => {
    stop.abort();
    clearTimeout(timer);
  };
}
