// The validators: who signed the last batch, and whose votes of the present round have come to this node.
import { useRef } from "preact/hooks";
import { Id } from "../../shell/ids.tsx";
import { useAnswer } from "../../shell/node.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { globe } from "../../texts/globe.ts";

interface Voter {
  address: string;
  isSelf: boolean;
  isConnected: boolean;
  preVote: string | null;
  preCommit: string | null;
}

interface Consensus {
  height: number;
  round: number;
  proposer: string;
  quorum: number;
  validators: Voter[];
}

interface Batch {
  height: number;
  commit: { signatures: { validator: string }[] };
}

const ASK_MS = 1_500;
const SHOWN_MAX = 24;

export function VotesCard() {
  const { answer } = useAnswer<Consensus>("/consensus", undefined, ASK_MS);
  // The batch below the height that is being decided: its address stays the same, so it is asked for once.
  const last = useAnswer<Batch>(answer && answer.height > 1 ? `/batch/${answer.height - 1}` : null).answer;
  const kept = useRef(last);
  kept.current = last ?? kept.current;
  if (!answer) return null;
  const { height, round, quorum, proposer, validators } = answer;
  const count = validators.length;
  return (
    <section class="card" aria-labelledby="votes">
      <h2 id="votes">{say(globe.votes)}</h2>
      <p class="quiet">{say(round < 0 ? globe.idle : globe.deciding, { height, round, quorum, count })}</p>
      <table class="votes">
        <thead>
          <tr>
            <th scope="col">{say(globe.validator)}</th>
            {kept.current && <th scope="col">{say(globe.signedLast, { height: kept.current.height })}</th>}
            <th scope="col">{say(globe.preVote)}</th>
            <th scope="col">{say(globe.preCommit)}</th>
          </tr>
        </thead>
        <tbody>
          {validators.slice(0, SHOWN_MAX).map((voter) => (
            <tr key={voter.address}>
              <td>
                <Id text={voter.address} to={link("validator", voter.address)} />
                {voter.isSelf && <span class="tag">{say(globe.thisNode)}</span>}
                {round >= 0 && voter.address === proposer && <span class="tag">{say(globe.proposes)}</span>}
                {!voter.isConnected && <span class="tag">{say(globe.away)}</span>}
              </td>
              {kept.current && <Signed batch={kept.current} address={voter.address} />}
              <Vote vote={voter.preVote} />
              <Vote vote={voter.preCommit} />
            </tr>
          ))}
        </tbody>
      </table>
      {count > SHOWN_MAX && (
        <p>
          <a href={link("validators")}>{say(globe.moreValidators, { count })}</a>
        </p>
      )}
    </section>
  );
}

function Signed({ batch, address }: { batch: Batch; address: string }) {
  const isSigned = batch.commit.signatures.some(({ validator }) => validator === address);
  return isSigned ? <Mark mark="✓" text={say(globe.signed)} kind="good" /> : <Mark mark="–" text={say(globe.missed)} kind="quiet" />;
}

function Vote({ vote }: { vote: string | null }) {
  if (vote === null) return <Mark mark="–" text={say(globe.notHere)} kind="quiet" />;
  return vote === "nil" ? <Mark mark="✕" text={say(globe.nil)} kind="warn" /> : <Mark mark="✓" text={say(globe.yes)} kind="good" />;
}

function Mark({ mark, text, kind }: { mark: string; text: string; kind: "good" | "warn" | "quiet" }) {
  return (
    <td class={kind}>
      <span aria-hidden="true" title={text}>
        {mark}
      </span>
      <span class="unseen">{text}</span>
    </td>
  );
}
