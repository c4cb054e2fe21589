// One batch: its header, what is in it, and who signed it.
import { useState } from "preact/hooks";
import { deeds, explorer, offences } from "../../texts/explorer.ts";
import { useEvents } from "../../shell/feed.ts";
import { Id } from "../../shell/ids.tsx";
import { useAnswer } from "../../shell/node.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import type { Batch, Validators } from "./answers.ts";
import { attendance } from "./attendance.ts";
import { Answered, Card, Facts, Heading } from "./parts.tsx";

const IDS_SHOWN = 20;

export function BatchPage({ height }: { height: number }) {
  const asked = useAnswer<Batch>(`/batch/${height}`);
  // One that is still to come shows when it has.
  useEvents(["batch"], ({ data }) => {
    if (!asked.answer && (data as { height: number }).height >= height) asked.again();
  });
  const isToCome = asked.error?.code === "BATCH_NOT_FOUND" && asked.error.details.retryable === true;
  return (
    <>
      <Heading title={say(explorer.batch, { height })}>
        <nav class="neighbours" aria-label={say(explorer.neighbours)}>
          {height > 1 && <a class="button" rel="prev" href={link("batch", height - 1)}>← {say(explorer.earlier, { height: height - 1 })}</a>}
          {!isToCome && <a class="button" rel="next" href={link("batch", height + 1)}>{say(explorer.earlier, { height: height + 1 })} →</a>}
        </nav>
      </Heading>
      <Answered of={asked}>{(batch) => <Shown batch={batch} />}</Answered>
      {isToCome && <p class="quiet" role="status">{say(explorer.awaits)}</p>}
    </>
  );
}

function Shown({ batch }: { batch: Batch }) {
  const { header, commit } = batch;
  return (
    <>
      <Card title={say(explorer.header)}>
        <Facts
          of={[
            [say(explorer.time), <When at={header.timestamp} as="full" />],
            [say(explorer.proposer), <Id text={header.proposer} to={link("validator", header.proposer)} copies />],
            [say(explorer.round), header.round === commit.round ? header.round : say(explorer.roundDecided, { built: header.round, decided: commit.round })],
            [say(explorer.hash), <Id text={batch.batchHash} copies />],
            [say(explorer.previous), batch.height > 1 ? <Id text={header.previousBatchHash} to={link("batch", batch.height - 1)} copies /> : <Id text={header.previousBatchHash} copies />],
            [say(explorer.stateRoot), <Id text={header.stateRoot} copies />],
            [say(explorer.setHash), <Id text={header.validatorSetHash} copies />],
            [say(explorer.proofsRoot), <Id text={header.proofsRoot} copies />],
            [say(explorer.receiptsRoot), <Id text={header.receiptsRoot} copies />],
            [say(explorer.rules), say(explorer.rulesVersion, { version: header.protocolVersion })],
          ]}
        />
      </Card>
      <Signers batch={batch} />
      <Card title={`${say(explorer.proofs)} (${batch.proofIds.length})`}>
        <Proofs ids={batch.proofIds} />
      </Card>
      {batch.operations && (
        <Card title={`${say(explorer.operations)} (${batch.operations.length})`}>
          <Operations of={batch.operations} />
        </Card>
      )}
      {batch.evidence && batch.evidence.length > 0 && (
        <Card title={say(explorer.evidence)}>
          <ul>
            {batch.evidence.map((one) => (
              <li><Id text={one.accused} to={link("validator", one.accused)} />: {say(offences[one.kind], { height: one.offenceHeight })}</li>
            ))}
          </ul>
        </Card>
      )}
    </>
  );
}

function Signers({ batch }: { batch: Batch }) {
  const asked = useAnswer<Validators>("/validators");
  const all = attendance(batch, asked.answer?.validators ?? []);
  const signed = all.filter((one) => one.signed).length;
  return (
    <Card title={say(explorer.whoSigned)}>
      <p>{say(explorer.signedCount, { signed, of: all.length })}</p>
      <ul class="attendance">
        {all.map((one) => (
          <li>
            <Mark signed={one.signed} /> <Id text={one.validator} to={link("validator", one.validator)} /> <span class={one.signed ? "good" : "warn"}>{say(one.signed ? explorer.signed : explorer.missed)}</span>
          </li>
        ))}
      </ul>
      {signed < all.length && <p class="quiet small">{say(explorer.missedNote)}</p>}
    </Card>
  );
}

function Mark({ signed }: { signed: boolean }) {
  return <span aria-hidden="true" class={signed ? "good" : "warn"}>{signed ? "✓" : "–"}</span>;
}

function Proofs({ ids }: { ids: readonly string[] }) {
  const [isWhole, setWhole] = useState(false);
  if (ids.length === 0) return <p class="quiet">{say(explorer.nothingIn)}</p>;
  const shown = isWhole ? ids : ids.slice(0, IDS_SHOWN);
  return (
    <>
      <ol class="ids" start={0}>{shown.map((id) => <li key={id}><Id text={id} to={link("proof", id)} /></li>)}</ol>
      {shown.length < ids.length && <button type="button" onClick={() => setWhole(true)}>{say(explorer.showAll, { count: ids.length })}</button>}
    </>
  );
}

function Operations({ of }: { of: NonNullable<Batch["operations"]> }) {
  if (of.length === 0) return <p class="quiet">{say(explorer.nothingIn)}</p>;
  return (
    <table>
      <thead>
        <tr><th scope="col">{say(explorer.type)}</th><th scope="col">{say(explorer.operation)}</th><th scope="col">{say(explorer.owner)}</th></tr>
      </thead>
      <tbody>
        {of.map((one) => (
          <tr key={one.operationId}>
            <td>{deed(one.type)}</td>
            <td><Id text={one.operationId} to={link("operation", one.operationId)} /></td>
            <td><Id text={one.owner} to={link("account", one.owner)} /></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What a node of a later release may name is shown as it names it. */
export function deed(type: string): string {
  const name = type.toLowerCase();
  return Object.hasOwn(deeds, name) ? say(deeds[name as keyof typeof deeds]) : type;
}
