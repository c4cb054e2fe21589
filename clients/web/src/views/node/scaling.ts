// From figures to where they stand in a chart: scales with round numbers, lines with gaps where nothing was measured.

export interface Point {
  atMs: number;
  value: number | null;
}

/** Where the axis ends, and the numbers that are written at it: 0, and two to five more at equal steps of 1, 2 or 5. */
export interface Scale {
  max: number;
  ticks: number[];
}

const STEPS = [1, 2, 5, 10];
const TICKS_MAX = 5;

export function scaleFor(values: readonly (number | null)[], isWhole = false): Scale {
  const greatest = Math.max(0, ...values.filter((value): value is number => value !== null && Number.isFinite(value)));
  if (greatest === 0) return { max: 1, ticks: [0, 1] };
  const rough = greatest / TICKS_MAX;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max((STEPS.find((one) => one * power >= rough * (1 - 1e-9)) ?? 10) * power, isWhole ? 1 : 0);
  const count = Math.ceil(greatest / step - 1e-9);
  // By multiplication, and to the step's own places: 0.1 + 0.2 is no number to write on an axis.
  const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = Array.from({ length: count + 1 }, (_, index) => Number((index * step).toFixed(places)));
  return { max: ticks.at(-1)!, ticks };
}

export interface Box {
  width: number;
  height: number;
}

/** The commands of an SVG path, one piece for each stretch without a gap; a lone point is a short stroke. */
export function linePath(points: readonly Point[], scale: Scale, fromMs: number, toMs: number, { width, height }: Box): string {
  const span = Math.max(toMs - fromMs, 1);
  let isDrawing = false;
  const commands: string[] = [];
  points.forEach(({ atMs, value }, index) => {
    if (value === null) {
      isDrawing = false;
      return;
    }
    const x = (((atMs - fromMs) / span) * width).toFixed(1);
    const y = (height - (Math.min(value, scale.max) / scale.max) * height).toFixed(1);
    commands.push(`${isDrawing ? "L" : "M"}${x} ${y}`);
    const isAlone = !isDrawing && (points[index + 1]?.value ?? null) === null;
    if (isAlone) commands.push("h0.1");
    isDrawing = true;
  });
  return commands.join("");
}

const MINUTE_MS = 60_000;
const TIME_STEPS_MIN = [1, 2, 5, 10, 15, 20, 30, 60];

/** Moments to write below: whole minutes of the device's clock, four or so. */
export function timeTicks(fromMs: number, toMs: number, count = 4): number[] {
  const rough = (toMs - fromMs) / count / MINUTE_MS;
  const stepMs = (TIME_STEPS_MIN.find((one) => one >= rough) ?? 60) * MINUTE_MS;
  const ticks: number[] = [];
  for (let tick = Math.ceil(fromMs / stepMs) * stepMs; tick <= toMs; tick += stepMs) ticks.push(tick);
  return ticks;
}
