// What proofs are judged by (`/proof/config`): asked of a node, and kept for when there is none to be asked.
import type { ProofConfig } from "step-client";
import { StepError } from "step-client/errors.js";
import { useEffect, useState } from "preact/hooks";
import { keep, kept } from "../shell/keeping.ts";
import { client } from "../shell/node.ts";

const KEPT_AS = "proving.rules";

/** From a node. Throws StepError where none answers. */
export async function rulesNow(): Promise<ProofConfig> {
  const rules = await (await client()).config();
  await keep(KEPT_AS, rules);
  return rules;
}

/** As they were when a node was last asked. */
export function rulesKept(): Promise<ProofConfig | undefined> {
  return kept<ProofConfig>(KEPT_AS);
}

/** Those of before, until a node has said what they are now. */
export function useRules(): ProofConfig | undefined {
  const [rules, setRules] = useState<ProofConfig>();
  useEffect(() => {
    void rulesKept().then((before) => setRules((now) => now ?? before));
    const ask = () =>
      rulesNow().then(setRules, (error: unknown) => {
        if (!(error instanceof StepError)) throw error;
      });
    void ask();
    addEventListener("online", ask);
    return () => removeEventListener("online", ask);
  }, []);
  return rules;
}

/** The network's clock, as far as it is known: the device's, put right by what a node has said. */
export async function networkNow(): Promise<number> {
  return Date.now() + (await client()).clockOffsetMs;
}

/** A chain that its own name calls a devnet: only there a position may be made up. */
export function isDevnet(chainId: string): boolean {
  return /(^|-)devnet(-|$)/.test(chainId);
}
