// The explorer's first page: where the chain is, its latest batches as they come, and who has the most.
import { useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { explorer } from "../../texts/explorer.ts";
import { useEvents, useFeedState } from "../../shell/feed.ts";
import { Id } from "../../shell/ids.tsx";
import { useAnswer } from "../../shell/node.ts";
import { written } from "../../shell/numbers.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import type { BatchEntry, Batches, Leaderboard, Validators } from "./answers.ts";
import { Answered, Card, Heading, Step } from "./parts.tsx";

const SHOWN = 15;
const POLL_MS = 5_000;
const STATS_MS = 15_000;

export function Home() {
  const state = useFeedState();
  const isLive = state === "live";
  const listed = useAnswer<Batches>("/batches", { limit: SHOWN }, isLive ? undefined : POLL_MS);
  const [heard, setHeard] = useState<readonly BatchEntry[]>([]);
  useEvents(["batch"], ({ kind, data }) => {
    if (kind === "gap") listed.again();
    else setHeard((before) => newest([data as BatchEntry], before));
  });
  const batches = newest(heard, listed.answer?.batches ?? []);
  const validators = useAnswer<Validators>("/validators", undefined, STATS_MS);
  const levels = useAnswer<{ result: { levels: { clicks: number }[] } }>("/mesh/stats", undefined, STATS_MS);
  const latest = batches[0];
  return (
    <>
      <Heading title={say(explorer.overview)} />
      <div class="figures">
        {latest && <Figure name={say(explorer.height)} value={written(latest.height)} />}
        {latest && <Figure name={say(explorer.lastBatch)} value={<When at={latest.timestamp} as="ago" />} />}
        {levels.answer && <Figure name={say(explorer.proofsInAll)} value={written(sum(levels.answer.result.levels.map((one) => one.clicks)))} />}
        {validators.answer && (
          <Figure
            name={say(explorer.inTheSet)}
            value={`${validators.answer.validators.filter((one) => one.inSet).length}`}
            note={say(explorer.quorum, { quorum: validators.answer.quorum })}
          />
        )}
      </div>
      <div class="wide-and-narrow">
        <section class="card">
          <h2>
            {say(explorer.latestBatches)} <span class={isLive ? "badge good" : "badge quiet"} role="status">{say(isLive ? explorer.live : explorer.polling)}</span>
          </h2>
          {batches.length ? <BatchTable batches={batches} /> : <Answered of={listed}>{() => <p>{say(explorer.nothingIn)}</p>}</Answered>}
        </section>
        <Card title={say(explorer.richest)}>
          <Richest />
        </Card>
      </div>
    </>
  );
}

function Figure({ name, value, note }: { name: string; value: ComponentChildren; note?: string }) {
  return (
    <dl class="figure card">
      <dt>{name}</dt>
      <dd>{value}</dd>
      {note && <dd class="quiet small">{note}</dd>}
    </dl>
  );
}

function BatchTable({ batches }: { batches: readonly BatchEntry[] }) {
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{say(explorer.height)}</th>
          <th scope="col">{say(explorer.time)}</th>
          <th scope="col" class="number">{say(explorer.proofs)}</th>
          <th scope="col" class="number wide-only">{say(explorer.operations)}</th>
          <th scope="col" class="wide-only">{say(explorer.proposer)}</th>
        </tr>
      </thead>
      <tbody>
        {batches.map((batch) => (
          <tr key={batch.height}>
            <td><a href={link("batch", batch.height)}>{batch.height}</a></td>
            <td><When at={batch.timestamp} /></td>
            <td class="number">{batch.proofs}</td>
            <td class="number wide-only">{batch.operations}{batch.evidence > 0 && <span class="warn"> +{batch.evidence} {say(explorer.evidence)}</span>}</td>
            <td class="wide-only"><Id text={batch.proposer} to={link("validator", batch.proposer)} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Richest() {
  const asked = useAnswer<Leaderboard>("/leaderboard", { limit: 10 }, STATS_MS);
  return (
    <Answered of={asked}>
      {({ accounts }) =>
        accounts.length === 0 ? <p>{say(explorer.nothingIn)}</p> : (
          <table>
            <thead>
              <tr><th scope="col">{say(explorer.account)}</th><th scope="col" class="number">{say(explorer.balance)}</th></tr>
            </thead>
            <tbody>
              {accounts.map((one) => (
                <tr key={one.account}>
                  <td><Id text={one.account} to={link("account", one.account)} /></td>
                  <td class="number"><Step amount={one.balance} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        )
      }
    </Answered>
  );
}

/** Each height once, the newest first. */
function newest(some: readonly BatchEntry[], others: readonly BatchEntry[]): BatchEntry[] {
  const byHeight = new Map([...others, ...some].map((batch) => [batch.height, batch]));
  return [...byHeight.values()].sort((one, other) => other.height - one.height).slice(0, SHOWN);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
