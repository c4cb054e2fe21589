// The figures behind a signal, as people read them: by the unit that their names end in.
import { written } from "../../shell/numbers.ts";
import { lasting } from "../../shell/times.ts";

const BPS_PER_PERCENT = 100;

/** Of ten thousandths: "37.5". */
export function percent(bps: unknown): string {
  return written(typeof bps === "number" ? bps / BPS_PER_PERCENT : bps, 1);
}

/** For what stands in braces: `intervalMs` as `{interval}`, `sameIntervalBps` as `{sameInterval}`. A node may say anything. */
export function figuresOf(figures: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(figures).map(([name, value]) => {
      if (name.endsWith("Ms")) return [name.slice(0, -2), typeof value === "number" ? lasting(value) : "–"];
      if (name.endsWith("Bps")) return [name.slice(0, -3), `${percent(value)} %`];
      return [name, written(value)];
    }),
  );
}
