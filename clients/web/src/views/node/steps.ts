// The four steps that a height takes, and how far it is, of the node's finer ones (docs/consensus.md).
import type { Consensus } from "./answers.ts";

export type StepName = "propose" | "preVote" | "preCommit" | "finalise";
export type StepState = "done" | "now" | "later";

const STEPS: readonly StepName[] = ["propose", "preVote", "preCommit", "finalise"];

/** Which of the four each of the node's steps is in; -1: none has begun. */
const WHERE: Readonly<Record<string, number>> = {
  IDLE: -1,
  PROPOSE: 0,
  TIMEOUT_PROPOSER: 0,
  PRE_VOTE: 1,
  PRE_VOTE_WAIT: 1,
  TIMEOUT_PRE_VOTE: 1,
  PRE_COMMIT: 2,
  PRE_COMMIT_WAIT: 2,
  TIMEOUT_PRE_COMMIT: 2,
  COMMIT: 3,
};

export function stepsOf({ step }: Pick<Consensus, "step">): { name: StepName; state: StepState }[] {
  const where = WHERE[step] ?? -1;
  return STEPS.map((name, index) => ({ name, state: index < where ? "done" : index === where ? "now" : "later" }));
}
