// A moment on a page: local, with the exact one for machines and for whoever points at it.
import { useEffect, useState } from "preact/hooks";
import { ago, dateAndTime, dateOf, isMoment, timeOrDate, type Moment } from "./times.ts";

/** `as`: the clock or the date ("short"), always both ("full"), or how long ago, which goes on ("ago"). */
export function When({ at, as = "short" }: { at: Moment; as?: "short" | "full" | "ago" }) {
  const now = useNow(as === "ago" ? 1_000 : null);
  const text = as === "ago" ? ago(at, now) : as === "full" ? dateAndTime(at) : timeOrDate(at, now);
  return (
    <time dateTime={isMoment(at) ? dateOf(at).toISOString() : undefined} title={dateAndTime(at)}>
      {text}
    </time>
  );
}

/** The device's clock, again every so often while the page is seen. */
export function useNow(everyMs: number | null): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (everyMs === null) return undefined;
    const timer = setInterval(() => document.hidden || setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
