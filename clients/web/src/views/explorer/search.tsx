// What the text in the address may mean: straight there if it is one thing, else what there is to choose from.
import { StepError } from "step-client";
import { useEffect, useState } from "preact/hooks";
import { explorer } from "../../texts/explorer.ts";
import { Notice } from "../../shell/notice.tsx";
import { language, say } from "../../shell/texts.ts";
import { link } from "../../shell/router.ts";
import { Heading } from "./parts.tsx";
import { recognise } from "./recognise.ts";
import { BATCHES_LOOKED_AT, found, type Found } from "./resolve.ts";
import { searchAddress } from "./search-box.tsx";

type Outcome = { kind: "looking" } | { kind: "error"; error: StepError } | Found;

export function Search({ text }: { text: string }) {
  const [outcome, setOutcome] = useState<Outcome>({ kind: "looking" });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setOutcome({ kind: "looking" });
    found(recognise(text), language(), stop.signal)
      .then((result) => {
        if (stop.signal.aborted) return;
        // In the place of the search, so that the way back leads to where it was begun.
        if (result.kind === "page") location.replace(result.address);
        else setOutcome(result);
      })
      .catch((error: unknown) => {
        if (stop.signal.aborted) return;
        if (!(error instanceof StepError)) throw error;
        setOutcome({ kind: "error", error });
      });
    return () => stop.abort();
  }, [text, round]);
  return (
    <>
      <Heading title={say(explorer.searchFor, { text })} />
      {outcome.kind === "looking" && <p role="status">{say(explorer.searching)}</p>}
      {outcome.kind === "error" && <Notice error={outcome.error} again={() => setRound(round + 1)} />}
      {outcome.kind === "nothing" && <p class="card" role="status">{say(explorer.nothingFound)}</p>}
      {outcome.kind === "noSuchId" && <p class="card" role="status">{say(explorer.noSuchId, { count: BATCHES_LOOKED_AT })}</p>}
      {outcome.kind === "choice" && (
        <div class="card" role="status">
          <p>{say(explorer.couldBe)}</p>
          <ul class="choices">
            {outcome.of.map((one) => (
              <li>
                {one.kind === "batch" && <a href={link("batch", one.height)}>{say(explorer.batch, { height: one.height })}</a>}
                {one.kind === "triangle" && <a href={link("triangle", one.triangleId)}>{one.triangleId}</a>}
                {one.kind === "city" && <a href={searchAddress(`${one.city.lat}, ${one.city.lon}`)}>{say(explorer.triangleAt, { place: one.city.name })}</a>}
              </li>
            ))}
          </ul>
        </div>
      )}
    </>
  );
}
