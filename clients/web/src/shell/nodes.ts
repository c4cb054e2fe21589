// Which nodes the app asks: the one that served it, and those that its operator names in `nodes.json`.

import { remember, remembered } from "./remembered.ts";

/** The origin of the node that served this page, with the path before `/app/`, where a proxy put one. */
export const HOME_NODE = new URL("..", document.baseURI).href.replace(/\/$/, "");

const KEPT_AS = `step.nodes ${HOME_NODE}`;

/** All else waits for it, also what other nodes are asked. */
const ANSWER_MS_MAX = 5_000;

let found: Promise<string[]> | undefined;

/** The home node first. Where it does not answer, the others are those that it named the last time. */
export function nodes(): Promise<string[]> {
  found ??= named().then((others) => [HOME_NODE, ...others.filter((node) => node !== HOME_NODE)]);
  return found;
}

async function named(): Promise<string[]> {
  try {
    const answer = await fetch("nodes.json", { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    if (!answer.ok) return [];
    const told = listed(await answer.json());
    remember(KEPT_AS, JSON.stringify(told));
    return told;
  } catch (error) {
    // Offline, or the node is gone or says nothing for long, or what answers is no node.
    if (error instanceof TypeError || error instanceof SyntaxError || error instanceof DOMException) return listed(JSON.parse(remembered(KEPT_AS) ?? "[]"));
    throw error;
  }
}

function listed(told: unknown): string[] {
  return Array.isArray(told) ? told.filter((node): node is string => typeof node === "string") : [];
}
