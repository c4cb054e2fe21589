// Where the device is, once, for the map. Proving has rules of its own for positions; this one is only looked at.
import type { Here } from "./scene.ts";

export type Whereabouts = { state: "insecure" | "denied" | "noPosition" | "tooSlow" } | { state: "found"; here: Here };

const POSITION_MS_MAX = 20_000;

export function whereabouts(): Promise<Whereabouts> {
  if (!isSecureContext) return Promise.resolve({ state: "insecure" });
  return new Promise((resolve) => {
    const found = ({ coords }: GeolocationPosition) =>
      resolve({ state: "found", here: { lat: coords.latitude, lon: coords.longitude, accuracyM: coords.accuracy } });
    const failed = ({ code }: GeolocationPositionError) =>
      resolve({ state: code === 1 ? "denied" : code === 3 ? "tooSlow" : "noPosition" });
    navigator.geolocation.getCurrentPosition(found, failed, { enableHighAccuracy: true, timeout: POSITION_MS_MAX, maximumAge: 0 });
  });
}
