// Shares as people read them, and where they stand in a plot.
import { written } from "../../shell/numbers.ts";
import { say } from "../../shell/texts.ts";
import { fairness } from "../../texts/fairness.ts";

const PPM_PER_PERCENT = 10_000;

/** "37.5 %"; "–" for what is none. */
export function percent(ppm: number | null): string {
  return ppm === null ? "–" : say(fairness.percent, { share: written(ppm / PPM_PER_PERCENT, 1) });
}

/** "+6", "−1.5": a difference of shares, in points of a hundred. */
export function points(ppm: number | null): string {
  if (ppm === null) return "–";
  const size = written(Math.abs(ppm) / PPM_PER_PERCENT, 1);
  return size === "0" ? size : `${ppm < 0 ? "−" : "+"}${size}`;
}

/** How a Gini coefficient reads. Where one word ends and the next begins is a matter of taste; the figure stands beside it. */
export function evenness(giniPpm: number): "nearlyAlike" | "ratherEven" | "uneven" | "veryUneven" {
  if (giniPpm < 150_000) return "nearlyAlike";
  if (giniPpm < 350_000) return "ratherEven";
  return giniPpm < 600_000 ? "uneven" : "veryUneven";
}

/** Of parts per million, 0 to 1; what a node says beyond that is at the end. */
export function part(ppm: number | null): number {
  return Math.min(1, Math.max(0, (Number(ppm) || 0) / (100 * PPM_PER_PERCENT)));
}

/** The commands of a line over epochs, one piece for each stretch of epochs without a gap. */
export function linePath(values: readonly { epoch: number; ppm: number | null }[], x: (epoch: number) => number, y: (share: number) => number): string {
  let before: number | null = null;
  return values
    .filter(({ ppm }) => ppm !== null)
    .map(({ epoch, ppm }) => {
      const command = before === epoch - 1 ? "L" : "M";
      before = epoch;
      // A lone point is a short stroke.
      return `${command}${x(epoch).toFixed(1)} ${y(part(ppm)).toFixed(1)}${command === "M" ? "h0.01" : ""}`;
    })
    .join("");
}
