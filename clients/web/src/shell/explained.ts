// What an error of step-client means to a person: the sentences of its code, and what the details say, as people read it.
import type { Details } from "step-client";
import { codes, unknownCode, type Told } from "../texts/codes.ts";
import type { Text } from "./texts.ts";
import { lasting, timeOrDate } from "./times.ts";

/** What an error of step-client, or a refusal that was kept, has. */
export interface Refusal {
  code: string;
  message?: string;
  details?: Details | undefined;
  node?: string | null;
}

export interface Explained {
  happened: Text;
  advice: Text;
  /** For what stands in braces in both. */
  values: Readonly<Record<string, string>>;
}

export function explained({ code, details = {} }: Refusal): Explained {
  const told: Told = codes[`${code}.${caseOf(code, details)}`] ?? (Object.hasOwn(codes, code) ? codes[code]! : unknownCode);
  return { happened: told.happened, advice: told.advice, values: valuesOf(details) };
}

/** Metres, as people read them: "85 m", "1.2 km". */
export function metres(length: number): string {
  return length < 1_000 ? `${Math.round(length)} m` : `${(length / 1_000).toFixed(length < 10_000 ? 1 : 0)} km`;
}

/** Which of a code's cases it is, where it has some. */
function caseOf(code: string, details: Details): string | undefined {
  if (code === "CLOCK_DRIFT") return Number(details.driftMs) > 0 ? "ahead" : undefined;
  if (code === "TRIANGLE_EXHAUSTED") return details.tryInstead ? "elsewhere" : undefined;
  if (code === "BAD_POSITION") return details.field;
  return details.gate;
}

function valuesOf(details: Details): Record<string, string> {
  const values: Record<string, string> = {};
  const put = (name: string, value: unknown, write: (number: number) => string = String) => {
    if (value !== undefined && value !== null) values[name] = typeof value === "number" ? write(value) : String(value);
  };
  const byUnit = details.unit === "ms" ? lasting : String;
  put("value", details.value, byUnit);
  put("limit", details.limit, byUnit);
  put("elapsed", details.elapsedMs, lasting);
  put("distance", details.distanceM, metres);
  put("drift", details.driftMs, (ms) => lasting(Math.abs(ms)));
  put("instead", details.tryInstead?.level);
  for (const name of ["field", "state", "have", "need", "expected"]) put(name, details[name]);
  if (typeof details.retryAt === "string" && !Number.isNaN(Date.parse(details.retryAt))) {
    values.retryAt = timeOrDate(details.retryAt);
  }
  return values;
}
