// Ids, hashes and addresses: shortened for the eye, whole when copied or pointed at, with a link where there is a page of it.
import { useEffect, useState } from "preact/hooks";
import { ids } from "../texts/ids.ts";
import { shortened } from "./shortened.ts";
import { say } from "./texts.ts";

const TOLD_MS = 2_000;

/** `to`: the address of its page, made by `link`. `whole`: do not shorten. `copies`: with a button that copies it. */
export function Id({ text, to, whole = false, copies = false }: { text: string; to?: string; whole?: boolean; copies?: boolean }) {
  const shown = whole ? text : shortened(text);
  const label = shown === text ? {} : { title: text };
  return (
    <span class="id">
      {to ? <a class="mono" href={to} {...label}>{shown}</a> : <span class="mono" {...label}>{shown}</span>}
      {copies && <CopyButton text={text} what={shown} />}
    </span>
  );
}

/** A small button that copies `text`; `what` names it for who cannot see what stands beside it. */
export function CopyButton({ text, what, label }: { text: string; what: string; label?: string }) {
  const [outcome, setOutcome] = useState<"copied" | "notCopied">();
  useEffect(() => {
    if (outcome === undefined) return undefined;
    const timer = setTimeout(() => setOutcome(undefined), TOLD_MS);
    return () => clearTimeout(timer);
  }, [outcome]);
  const copy = async () => setOutcome((await copied(text)) ? "copied" : "notCopied");
  return (
    <>
      <button type="button" class={label ? "" : "copy"} onClick={() => void copy()} {...(label ? {} : { "aria-label": say(ids.copy, { what }), title: say(ids.copy, { what }) })}>
        {label ?? <CopyIcon />}
      </button>
      <span role="status" class={outcome === "notCopied" ? "warn" : "good"}>{outcome && ` ${say(ids[outcome])}`}</span>
    </>
  );
}

function CopyIcon() {
  return (
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5">
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
      <path d="M3.5 10.5h-1v-8h8v1" />
    </svg>
  );
}

/** Whether it is on the clipboard now. Where the page is not in a secure context there is only the old way. */
async function copied(text: string): Promise<boolean> {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch (error) {
    // Not allowed, or the page is not in front.
    if (!(error instanceof DOMException)) throw error;
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.setAttribute("readonly", "");
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}
