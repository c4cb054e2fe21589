// What was signed at an earlier visit and is not decided yet goes on when the app is opened again, on whichever page. Small,
// since every visit loads it; the outbox itself only where there is something in it.

const MARK = "proving.undecided";

/** So that the next visit knows, without opening what is kept. */
export function mark(isUndecided: boolean): void {
  if (isUndecided) localStorage.setItem(MARK, "1");
  else localStorage.removeItem(MARK);
}

export async function goOn(): Promise<void> {
  if (localStorage.getItem(MARK) === null) return;
  try {
    (await import("./outbox.ts")).start();
  } catch (error) {
    // Without a connection, and not kept by the service worker yet: once there is one.
    if (!(error instanceof TypeError)) throw error;
    addEventListener("online", () => void goOn(), { once: true });
  }
}
