// Lengths on the ground, as people say them.
import { written } from "../shell/numbers.ts";
import { say } from "../shell/texts.ts";
import { globe } from "../texts/globe.ts";

/** "13.8 km", "420 m", "3.4 m". */
export function length(metres: number): string {
  const isFar = metres >= 1_000;
  const value = isFar ? metres / 1_000 : metres;
  return say(isFar ? globe.kilometres : globe.metres, { value: written(value, value < 100 ? 1 : 0) });
}
