// What of the frame asks nodes: it comes after the frame itself, which needs none. And what the app begins by itself.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { goOn } from "../proving/begin.ts";
import { useQuestion } from "../wallet/asking.ts";
import { WrongChain } from "./news.tsx";
import { useStrangers } from "./node.ts";
import { HOME_NODE } from "./nodes.ts";
import { registerWorker } from "./worker.ts";

export { News } from "./news.tsx";
export { Standing } from "./standing.tsx";

/** By then the first screen has what it needs, also over a slow network. */
const SETTLED_MS = 2_000;
/** What an earlier visit has signed goes on, once this page is there. */
const GO_ON_AFTER_MS = 1_000;

/** A page, unless the node that serves the app is of another chain than the one that the app knows. */
export function OfThisChain({ children }: { children: ComponentChildren }) {
  const stranger = useStrangers().find(({ node }) => node === HOME_NODE);
  return stranger ? <WrongChain stranger={stranger} /> : <>{children}</>;
}

/** The dialog that asks for what opens a key; loaded when somebody first wants one. */
export function Unlocking() {
  const question = useQuestion();
  const [loaded, setLoaded] = useState<{ Dialog: typeof import("./unlock-dialog.tsx").default }>();
  const isWanted = question !== null;
  useEffect(() => {
    // Where the dialog cannot be had, as without a connection, whoever wants to sign hears of it, and does not wait.
    if (question) import("./unlock-dialog.tsx").then(({ default: Dialog }) => setLoaded({ Dialog }), () => question.cancel());
  }, [isWanted]);
  return question && loaded ? <loaded.Dialog question={question} /> : null;
}

/** What the app wants to have without a connection: its files, and the genesis of its chain. */
async function keepForLater(): Promise<void> {
  await registerWorker();
  const { pinnedGenesis } = await import("./chain.ts");
  await pinnedGenesis();
}

const onceLoaded = (afterMs: number, act: () => Promise<void>) => {
  const later = () => setTimeout(() => void act(), afterMs);
  if (document.readyState === "complete") later();
  else addEventListener("load", later, { once: true });
};

onceLoaded(GO_ON_AFTER_MS, goOn);
onceLoaded(SETTLED_MS, () => keepForLater().catch((error: unknown) => console.debug("not kept yet", error)));
