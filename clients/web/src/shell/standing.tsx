// Which chain this is, how high it is, and whether what is shown is live: in the header of every page.
import { useEffect, useState } from "preact/hooks";
import { shell } from "../texts/shell.ts";
import { useEvents, useFeedState } from "./feed.ts";
import { written } from "./numbers.ts";
import { useAnswer } from "./node.ts";
import { link } from "./router.ts";
import { say } from "./texts.ts";

interface Status {
  chainId: string;
  height: number;
}

export function Standing() {
  const { answer, error, again } = useAnswer<Status>("/status");
  const state = useFeedState();
  const [height, setHeight] = useState(0);
  useEffect(() => {
    if (answer) setHeight((before) => Math.max(before, answer.height));
  }, [answer]);
  useEvents(["batch"], ({ kind, data }) => {
    if (kind !== "batch") again();
    else if (Number.isSafeInteger(data.height)) setHeight(data.height);
  });
  if (!answer) return <span class="standing quiet">{error ? say(shell.noAnswer) : ""}</span>;
  const known = { chain: answer.chainId, height: written(height) };
  // Begins with what is to be seen, for whoever speaks to the page.
  const said = say(shell[state], known);
  return (
    <a class="standing" href={height > 0 ? link("batch", height) : link("explorer")} title={said} aria-label={said}>
      <span class={`dot ${state}`} />
      <span class="chain">{answer.chainId}</span>{" "}
      <span class="height">{known.height}</span>
    </a>
  );
}
