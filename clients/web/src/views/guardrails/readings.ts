// What `GET /guardrails` says (docs/http-api.md), and its figures as people read them.
import { isAmount, shown } from "../../shell/amounts.ts";
import { written } from "../../shell/numbers.ts";
import { language, say } from "../../shell/texts.ts";
import { guardrails as texts } from "../../texts/guardrails.ts";

export interface Guardrail {
  name: string;
  /** What is so while it is whole, in the node's words. */
  holds: string;
  isBroken: boolean;
  figure: string | null;
  bound: string | null;
  unit: string;
  brokenAtHeight: number | null;
  brokenSince: string | null;
  message: string | null;
}

export interface Guardrails {
  height: number;
  guardrails: readonly Guardrail[];
  intakePercent: number;
}

const PERCENT_PLACES = 2;

/** With its unit; "–" for what is no number, which a node may say. */
export function figure(value: string | null, unit: string): string {
  if (!isAmount(value)) return "–";
  if (unit === "%") return `${written(Number(value), PERCENT_PLACES)} %`;
  const amount = shown(value, language());
  return unit === "STEP per hour" ? say(texts.perHour, { amount }) : `${amount} ${unit}`;
}

/** Which part of its bound a figure has reached, 0 to 1; null where there is no such part. */
export function reached({ figure, bound }: Pick<Guardrail, "figure" | "bound">): number | null {
  if (!isAmount(figure) || !isAmount(bound) || !(Number(bound) > 0)) return null;
  return Math.min(1, Math.max(0, Number(figure) / Number(bound)));
}
