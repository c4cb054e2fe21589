// The device's receiver, asked without pause and without anything that it has kept from before.
import { useEffect, useState } from "preact/hooks";
import { BEGUN, failed, heard, type Fix, type Watch } from "./position.ts";

/** A receiver that lies still may say nothing for long: then it is asked anew. */
const ASK_AGAIN_MS = 4_000;
const ANSWER_MS_MAX = 20_000;
const ASKING: PositionOptions = { enableHighAccuracy: true, maximumAge: 0, timeout: ANSWER_MS_MAX };
const DENIED = 1;

export type Permission = "granted" | "prompt" | "denied";

/** Tells what is known, each time that it changes, until the answer is called. */
export function watchPosition(tell: (watch: Watch) => void): () => void {
  let watch = BEGUN;
  let lastMs = Date.now();
  const now = (next: Watch) => tell((watch = next));
  if (!isSecureContext) {
    now(failed(watch, "insecure"));
    return () => undefined;
  }
  if (!("geolocation" in navigator)) {
    now(failed(watch, "unsupported"));
    return () => undefined;
  }
  const { geolocation } = navigator;
  let isOver = false;
  const take = (position: GeolocationPosition) => {
    if (isOver) return;
    const fix = fixOf(position);
    // The second way of asking brings what the first has brought already.
    if (fix.timestamp === watch.last?.fix.timestamp) return;
    lastMs = Date.now();
    now(heard(watch, fix, lastMs));
  };
  const refuse = ({ code }: GeolocationPositionError) => isOver || now(failed(watch, code === DENIED ? "denied" : "noSignal"));
  const id = geolocation.watchPosition(take, refuse, ASKING);
  const timer = setInterval(() => {
    if (watch.trouble !== "denied" && !document.hidden && Date.now() - lastMs > ASK_AGAIN_MS) {
      // Its failure says nothing that the watch would not say.
      geolocation.getCurrentPosition(take, () => undefined, ASKING);
    }
  }, ASK_AGAIN_MS);
  return () => {
    isOver = true;
    geolocation.clearWatch(id);
    clearInterval(timer);
  };
}

/** While `isOn`; it begins anew when the person allows what was denied. */
export function useWatch(isOn: boolean, permission: Permission | undefined): Watch {
  const [watch, setWatch] = useState(BEGUN);
  useEffect(() => {
    setWatch(BEGUN);
    return isOn ? watchPosition(setWatch) : undefined;
  }, [isOn, permission === "denied"]);
  return watch;
}

/** What the person has allowed, as far as the browser tells (undefined before); draws anew when that changes. */
export function usePermission(): Permission | undefined {
  const [permission, setPermission] = useState<Permission>();
  useEffect(() => {
    let status: PermissionStatus | undefined;
    const changed = () => setPermission(status?.state ?? "prompt");
    const ask = async () => {
      try {
        status = await navigator.permissions.query({ name: "geolocation" });
        status.addEventListener("change", changed);
      } catch (error) {
        // An old browser, which asks the person when the receiver is asked.
        if (!(error instanceof TypeError)) throw error;
      }
      changed();
    };
    void ask();
    return () => status?.removeEventListener("change", changed);
  }, []);
  return permission;
}

function fixOf({ coords, timestamp }: GeolocationPosition): Fix {
  return { lat: coords.latitude, lon: coords.longitude, accuracy: coords.accuracy, timestamp };
}
