// A few words that the browser keeps for the app, such as the language. Where it keeps nothing (cookies blocked, no room) they
// hold for this visit, and nothing fails.

/** What was kept under a name, or null. */
export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}

/** Keeps it, or forgets it for null. */
export function remember(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}
