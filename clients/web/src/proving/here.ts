// The triangle to prove in, at the place where one is: asked of a node in one request, again now and then, and at once when
// one has left it. Without a node, the last answer says which level it was.
import { StepError } from "step-client/errors.js";
import { locate } from "step-client/mesh.js";
import { useEffect, useRef, useState } from "preact/hooks";
import { keep, kept } from "../shell/keeping.ts";
import { client } from "../shell/node.ts";
import type { Point } from "./readiness.ts";
import { hereOf, type Here } from "./told.ts";

export type { Here };

export interface Asked {
  here: Here | undefined;
  error: StepError | undefined;
  /** Whether `here` is what a node has said lately of this very triangle. */
  isFresh: boolean;
  again: () => void;
}

const KEPT_AS = "proving.here";
const EVERY_MS = 5_000;

export function useHere(point: Point | undefined): Asked {
  const [state, setState] = useState<Omit<Asked, "again">>({ here: undefined, error: undefined, isFresh: false });
  const [round, setRound] = useState(0);
  const latest = useRef(point);
  latest.current = point;
  const hasPoint = point !== undefined;
  const hasLeft = point !== undefined && state.here !== undefined && !holds(state.here, point);

  useEffect(() => {
    void kept<unknown>(KEPT_AS).then(hereOf, unlessUnkept).then((before) => before && setState((now) => (now.here ? now : { ...now, here: before })));
  }, []);
  useEffect(() => {
    if (!hasPoint) return undefined;
    const stop = new AbortController();
    let timer = 0;
    const look = async () => {
      if (!document.hidden) {
        const answer = await activeAt(latest.current!, stop.signal);
        if (stop.signal.aborted) return;
        setState((now) => ("error" in answer ? { ...now, error: answer.error, isFresh: false } : { here: answer, error: undefined, isFresh: true }));
        if (!("error" in answer)) await keep(KEPT_AS, answer).catch(unlessUnkept);
      }
      if (!stop.signal.aborted) timer = setTimeout(look, EVERY_MS) as unknown as number;
    };
    void look();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [hasPoint, hasLeft, round]);
  return { ...state, isFresh: state.isFresh && !hasLeft, again: () => setRound((before) => before + 1) };
}

/** Whether a triangle holds a point: known without asking anybody. */
export function holds({ triangleId, level }: Pick<Here, "triangleId" | "level">, { lat, lon }: Point): boolean {
  return locate(rounded(lat), rounded(lon), level) === triangleId;
}

async function activeAt({ lat, lon }: Point, signal: AbortSignal): Promise<Here | { error: StepError | undefined }> {
  try {
    const here = hereOf(await (await client()).activeTriangle(rounded(lat), rounded(lon), { signal }));
    return here ?? { error: new StepError("UNREADABLE_ANSWER", "the answer is no triangle to prove in") };
  } catch (error) {
    if (signal.aborted) return { error: undefined };
    if (!(error instanceof StepError)) throw error;
    return { error };
  }
}

/** A browser that keeps nothing has no last answer. */
function unlessUnkept(error: unknown): undefined {
  if (!(error instanceof DOMException)) throw error;
}

/** As what is signed is rounded: to seven decimals. */
function rounded(degrees: number): number {
  return Number(degrees.toFixed(7));
}
