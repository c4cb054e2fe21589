// Where the height that is being decided stands: its steps, and whose votes of this round are here.
import { node } from "../../texts/node.ts";
import { Id } from "../../shell/ids.tsx";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { timeOfDay } from "../../shell/times.ts";
import type { Consensus, Vote } from "./answers.ts";
import { stepsOf, type StepState } from "./steps.ts";

const NAMES = { propose: node.propose, preVote: node.preVote, preCommit: node.preCommit, finalise: node.finalise } as const;

export function ConsensusNow({ consensus }: { consensus: Consensus }) {
  const { height, round, quorum, validators } = consensus;
  const isIdle = round < 0;
  return (
    <>
      <p>{isIdle ? say(node.idle, { height }) : say(node.deciding, { height, round, since: timeOfDay(consensus.heightSince) })}</p>
      {!consensus.takesPart && <p class="quiet">{say(node.followsOnly)}</p>}
      <ol class="steps" aria-label={say(node.steps)}>
        {stepsOf(consensus).map(({ name, state }) => (
          <li class={state} aria-current={state === "now" ? "step" : undefined}>
            <strong>{say(NAMES[name])}</strong>
            <span class="quiet">
              {name === "propose" && say(consensus.proposal ? node.here : node.notHere)}
              {name === "preVote" && say(node.votesOf, { votes: consensus.preVotes, all: validators.length, quorum })}
              {name === "preCommit" && say(node.votesOf, { votes: consensus.preCommits, all: validators.length, quorum })}
            </span>
            <Mark state={state} />
          </li>
        ))}
      </ol>
      <p>
        {say(node.proposer)}: <Id text={consensus.proposer} to={link("validator", consensus.proposer)} />
        {consensus.proposal && <> · <Id text={consensus.proposal} /></>}
        {consensus.lockedRound >= 0 && <> · {say(node.locked, { round: consensus.lockedRound })}</>}
      </p>
      <div class="scrolls" tabIndex={0} role="region" aria-label={say(node.voters)}>
        <table>
          <caption>{say(node.voters)}</caption>
          <thead>
            <tr>
              <th scope="col">{say(node.validator)}</th>
              <th scope="col">{say(node.preVote)}</th>
              <th scope="col">{say(node.preCommit)}</th>
              <th scope="col">{say(node.connected)}</th>
            </tr>
          </thead>
          <tbody>
            {validators.map((one) => (
              <tr key={one.address}>
                <td><Id text={one.address} to={link("validator", one.address)} /></td>
                <td><VoteOf vote={one.preVote} proposal={consensus.proposal} /></td>
                <td><VoteOf vote={one.preCommit} proposal={consensus.proposal} /></td>
                <td class={one.isConnected ? "" : "warn"}>{say(one.isSelf ? node.self : one.isConnected ? node.yes : node.no)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function VoteOf({ vote, proposal }: { vote: Vote; proposal: string | null }) {
  if (vote === null) return <span class="quiet">{say(node.noVote)}</span>;
  if (vote === "nil") return <span class="warn">{say(node.forNone)}</span>;
  return vote === proposal ? <span class="good">✓ {say(node.forIt)}</span> : <span class="warn">{say(node.forAnother)}</span>;
}

function Mark({ state }: { state: StepState }) {
  return <span class="mark" aria-hidden="true">{state === "done" ? "✓" : state === "now" ? "…" : ""}</span>;
}
