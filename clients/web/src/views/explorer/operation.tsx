// One operation: a transfer, or what an owner wanted of a validator, and what became of it.
import { explorer } from "../../texts/explorer.ts";
import { Id } from "../../shell/ids.tsx";
import { HOME_NODE } from "../../shell/node.ts";
import { Notice } from "../../shell/notice.tsx";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import type { OperationStatus } from "./answers.ts";
import { deed } from "./batch.tsx";
import { Answered, Card, Facts, Heading, Step } from "./parts.tsx";
import { useUntilDecided } from "./until-decided.ts";

export function OperationPage({ id }: { id: string }) {
  const asked = useUntilDecided<OperationStatus>(`/operation/${id}`);
  return (
    <>
      <Heading title={say(explorer.operation)} />
      <p><Id text={id} whole copies /></p>
      <Answered of={asked}>
        {(operation) =>
          operation.status === "dropped" ? <><p class="bad">{say(explorer.dropped)}</p><Notice error={operation} /></> : <Known operation={operation} />
        }
      </Answered>
    </>
  );
}

function Known({ operation }: { operation: Exclude<OperationStatus, { status: "dropped" }> }) {
  const applied = operation.status === "applied" ? operation : null;
  return (
    <Card title={say(applied ? explorer.applied : explorer.pending)}>
      <Facts
        of={[
          [say(explorer.type), deed(operation.type)],
          [say(applied?.to ? explorer.from : explorer.owner), <Id text={operation.owner} to={link("account", operation.owner)} copies />],
          applied?.to && [say(explorer.to), <Id text={applied.to} to={link("account", applied.to)} copies />],
          applied?.amount && [say(explorer.amount), <Step amount={applied.amount} />],
          applied?.memo && [say(explorer.memo), <q>{applied.memo}</q>],
          [say(explorer.sequence), operation.sequence],
          applied && [say(explorer.place), <>{applied.index} · <a href={link("batch", applied.height)}>{say(explorer.batch, { height: applied.height })}</a></>],
          applied && [say(explorer.finalAt), <When at={applied.timestamp} as="full" />],
        ]}
      />
      {applied && <p><a class="button" href={`${HOME_NODE}/operation/${applied.operationId}/receipt`} download={`step-receipt-${applied.operationId.slice(2, 12)}.json`}>{say(explorer.receiptFile)}</a></p>}
    </Card>
  );
}
