// Questions to the very node that serves this page: another one's answer would be about that one. Health answers 503 with
// its reasons, so an answer is an answer whatever its status.
import type { Details } from "step-client";
import { useEffect, useState } from "preact/hooks";
import type { Refusal } from "../../shell/explained.ts";
import { HOME_NODE } from "../../shell/node.ts";

const ANSWER_MS_MAX = 10_000;

export interface Refused extends Refusal {
  message: string;
  status: number;
}

export interface Here<T> {
  /** The last answer that there was; undefined before the first. */
  answer: T | undefined;
  /** When that was, by the device's clock. */
  answeredAtMs: number | null;
  /** Whether the last question went unanswered. */
  isSilent: boolean;
  /** Why the last question was refused: the node's code and own words, and the status of HTTP. */
  refused: Refused | null;
}

/** Asks when first drawn, and every so often while the page is seen. `reads`: what is an answer; anything else is a refusal. */
export function useHere<T>(path: string, everyMs: number, reads: (status: number) => boolean = (status) => status === 200): Here<T> {
  const [state, setState] = useState<Here<T>>({ answer: undefined, answeredAtMs: null, isSilent: false, refused: null });
  useEffect(() => {
    let isOver = false;
    let timer = 0;
    const look = async () => {
      if (!document.hidden) {
        const heard = await hear<T>(path);
        if (isOver) return;
        setState((before) => after(before, heard, reads));
      }
      if (!isOver) timer = setTimeout(() => void look(), everyMs) as unknown as number;
    };
    void look();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [path, everyMs]);
  return state;
}

type Heard<T> = { status: number; body: T | Partial<Refusal> } | null;

async function hear<T>(path: string): Promise<Heard<T>> {
  try {
    const answer = await fetch(`${HOME_NODE}${path}`, { signal: AbortSignal.timeout(ANSWER_MS_MAX), cache: "no-cache" });
    return { status: answer.status, body: (await answer.json()) as T };
  } catch (error) {
    // No connection, no time left, or something in between that answers no JSON.
    if (error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError) return null;
    throw error;
  }
}

function after<T>(before: Here<T>, heard: Heard<T>, reads: (status: number) => boolean): Here<T> {
  if (heard === null) return { ...before, isSilent: true };
  if (reads(heard.status)) return { answer: heard.body as T, answeredAtMs: Date.now(), isSilent: false, refused: null };
  return { ...before, isSilent: false, refused: refusalOf(heard.status, (heard.body ?? {}) as Readonly<Record<string, unknown>>) };
}

/** What is between this page and the node may say anything. */
function refusalOf(status: number, { code, message, details }: Readonly<Record<string, unknown>>): Refused {
  return {
    status,
    code: typeof code === "string" ? code : "",
    message: typeof message === "string" ? message : "",
    details: typeof details === "object" && details !== null ? (details as Details) : undefined,
  };
}
