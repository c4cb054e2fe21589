// Work in steps: a slow phone does something else in between, such as answering a tap.

/** Takes steps for so long; whether that were all of them. */
export function areTaken(steps: Iterator<unknown>, ms: number): boolean {
  const until = performance.now() + ms;
  do {
    if (steps.next().done) return true;
  } while (performance.now() < until);
  return false;
}

/** Takes all steps, so long at a time. What they give. */
export async function allTaken<T>(steps: Iterator<unknown, T>, ms: number): Promise<T> {
  for (let until = performance.now() + ms; ; ) {
    const { done, value } = steps.next();
    if (done) return value;
    if (performance.now() < until) continue;
    await new Promise((resolve) => setTimeout(resolve));
    until = performance.now() + ms;
  }
}
