// A client's duties towards a position (docs/clients.md): no old fix, no 0, 0, and 7 decimals before anything is looked
// up or signed, so that what is looked up is what is signed.
import { StepError } from "./errors.js";

const DECIMALS = 7;
const FIX_AGE_MS_MAX = 30_000;
const FIX_AHEAD_MS_MAX = 5_000;

/** @type {typeof import("../step-client.js").checkedPosition} */
export function checkedPosition(position, { now = Date.now(), accuracyMax = 50 } = {}) {
  const { latitude, longitude } = position.coords ?? {};
  const lat = rounded("lat", position.lat ?? latitude, 90);
  const lon = rounded("lon", position.lon ?? longitude, 180);
  const accuracy = position.accuracy ?? position.coords?.accuracy;
  if (typeof accuracy !== "number" || !(accuracy > 0)) refuse("accuracy", "must be a number of metres above 0");
  if (accuracy > accuracyMax) refuse("accuracy", `must be at most ${accuracyMax} metres; wait for a better fix`);
  if (lat === 0 && lon === 0) refuse("lat, lon", "0, 0 is what receivers tell that have no fix; wait for one");
  const timestamp = position.timestamp ?? now;
  const ageMs = now - timestamp;
  if (!(ageMs <= FIX_AGE_MS_MAX)) {
    refuse("timestamp", `the fix is ${ageMs} ms old, and must be at most ${FIX_AGE_MS_MAX}; ask the device for a new one`);
  }
  if (ageMs < -FIX_AHEAD_MS_MAX) refuse("timestamp", `the fix is ${-ageMs} ms ahead of this device's clock`);
  return { lat, lon, accuracy, timestamp };
}

/** @type {(field: string, degrees: unknown, limit: number) => number} */
function rounded(field, degrees, limit) {
  if (typeof degrees !== "number" || !(Math.abs(degrees) <= limit)) {
    return refuse(field, `must be a number of degrees from -${limit} to ${limit}`);
  }
  return Number(degrees.toFixed(DECIMALS)) + 0; // Adding 0 makes a -0 the one zero of the signed line.
}

/** @type {(field: string, rule: string) => never} */
function refuse(field, rule) {
  throw new StepError("BAD_POSITION", `${field}: ${rule}`, { details: { field, rule } });
}
