// The four triangles inside one, each with the four inside it when somebody opens it: as deep as the chain has gone.
import { children, parseTriangle, LEVEL_MAX, StepError } from "step-client";
import { useEffect, useState } from "preact/hooks";
import { explorer } from "../../texts/explorer.ts";
import { shell } from "../../texts/shell.ts";
import { Id } from "../../shell/ids.tsx";
import { ask } from "../../shell/node.ts";
import { Notice } from "../../shell/notice.tsx";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import type { Triangle } from "./answers.ts";
import { Step } from "./parts.tsx";

/** `areThere`: false where it is known that they are not, so that nobody is asked. */
export function Descendants({ of, areThere = true }: { of: string; areThere?: boolean }) {
  if (parseTriangle(of).level === LEVEL_MAX) return <p class="quiet">{say(explorer.noChildren)}</p>;
  return <Four of={of} areThere={areThere} />;
}

function Four({ of, areThere }: { of: string; areThere: boolean }) {
  const [known, setKnown] = useState<(Triangle | null)[]>();
  const [error, setError] = useState<StepError>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (!areThere) {
      setKnown(children(of).map(() => null));
      return undefined;
    }
    const stop = new AbortController();
    setError(undefined);
    Promise.all(children(of).map((child) => triangleOrNone(child, stop.signal)))
      .then((all) => stop.signal.aborted || setKnown(all))
      .catch((caught: unknown) => {
        if (stop.signal.aborted) return;
        if (!(caught instanceof StepError)) throw caught;
        setError(caught);
      });
    return () => stop.abort();
  }, [of, areThere, round]);
  if (error) return <Notice error={error} again={() => setRound(round + 1)} />;
  if (!known) return <p role="status">{say(shell.loading)}</p>;
  return (
    <ul class="descendants">
      {children(of).map((child, index) => <li key={child}><Child id={child} index={index} known={known[index] ?? null} /></li>)}
    </ul>
  );
}

function Child({ id, index, known }: { id: string; index: number; known: Triangle | null }) {
  const [isOpen, setOpen] = useState(false);
  const line = (
    <>
      <span class="quiet">{say(explorer.child, { index })}</span> <Id text={id} to={link("triangle", id)} />{" "}
      {known ? (
        <>
          <span class={`state ${known.state}`}>{say(explorer[known.state])}</span> · {say(explorer.clicks)} {known.clicks}
          {known.state === "active" && <> · <Step amount={known.reward} /></>}
        </>
      ) : (
        <span class="quiet">{say(explorer.notThereYet)}</span>
      )}
    </>
  );
  if (known?.state !== "subdivided") return line;
  return (
    <>
      {line}
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{say(explorer.inside)}</summary>
        {isOpen && <Descendants of={id} />}
      </details>
    </>
  );
}

async function triangleOrNone(id: string, signal: AbortSignal): Promise<Triangle | null> {
  try {
    return await ask<Triangle>(`/triangle/${id}`, {}, signal);
  } catch (error) {
    if (error instanceof StepError && error.code === "TRIANGLE_NOT_FOUND") return null;
    throw error;
  }
}
