// That the node that serves the page has stopped answering, and since when: in the page and in its tab.
import { useEffect } from "preact/hooks";
import { say } from "../../shell/texts.ts";
import { timeOrDate } from "../../shell/times.ts";
import { node } from "../../texts/node.ts";
import type { Here } from "./here.ts";

/** `title` is the tab's as well. */
export function Silent<T>({ of: { answeredAtMs, isSilent }, title }: { of: Here<T>; title: string }) {
  useEffect(() => {
    document.title = `${isSilent ? "● " : ""}${title} · STEP`;
  }, [isSilent, title]);
  return isSilent ? (
    <p class="card bad" role="alert">
      {answeredAtMs === null ? say(node.neverAnswered) : say(node.silent, { since: timeOrDate(answeredAtMs) })}
    </p>
  ) : null;
}
