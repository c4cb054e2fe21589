// What was signed at an earlier visit and is not decided yet goes on when the app is opened again, on whichever page. Small,
// since every visit loads it; the outbox itself only where there is something in it.

import { remember, remembered } from "../shell/remembered.ts";

const MARK = "proving.undecided";

/** So that the next visit knows, without opening what is kept. */
export function mark(isUndecided: boolean): void {
  remember(MARK, isUndecided ? "1" : null);
}

export async function goOn(): Promise<void> {
  if (remembered(MARK) === null) return;
  try {
    (await import("./outbox.ts")).start();
  } catch (error) {
    // Without a connection, and not kept by the service worker yet: once there is one.
    if (!(error instanceof TypeError)) throw error;
    addEventListener("online", () => void goOn(), { once: true });
  }
}
