// The service worker as a page sees it: registered once the page is there, and a new version that waits for the person.
import { useEffect, useState } from "preact/hooks";

const LOOK_AGAIN_MS = 3_600_000;

let waiting: ServiceWorker | undefined;
const watchers = new Set<() => void>();

/** Has the worker keep the app. To be called after what the first screen needs: the files would be in its way. */
export async function registerWorker(): Promise<void> {
  if (!("serviceWorker" in navigator)) return; // Only in a secure context.
  await register().catch(() => undefined); // Without it, the app works as long as the node answers.
}

/** Whether a new version of the app waits; what uses it is drawn anew when it does. */
export function useUpdate(): boolean {
  const [isThere, setThere] = useState(waiting !== undefined);
  useEffect(() => {
    const look = () => setThere(waiting !== undefined);
    look();
    watchers.add(look);
    return () => void watchers.delete(look);
  }, []);
  return isThere;
}

/** Has the new version take over, and this page be loaded by it. */
export function update(): void {
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
  waiting?.postMessage("take over");
}

async function register(): Promise<void> {
  const registration = await navigator.serviceWorker.register("service-worker.js");
  const look = () => {
    // Where nothing has been in control, this is the first version, and no new one.
    if (registration.waiting && navigator.serviceWorker.controller) {
      waiting = registration.waiting;
      for (const watcher of [...watchers]) watcher();
    }
  };
  look();
  registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", look));
  let lookedAt = Date.now();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || Date.now() - lookedAt < LOOK_AGAIN_MS) return;
    lookedAt = Date.now();
    void registration.update().catch(() => undefined); // No connection: the next time.
  });
}
