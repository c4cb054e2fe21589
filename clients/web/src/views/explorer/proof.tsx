// One proof: what became of it; and who was where, which stands in its receipt.
import { explorer } from "../../texts/explorer.ts";
import { Id } from "../../shell/ids.tsx";
import { HOME_NODE, useAnswer } from "../../shell/node.ts";
import { Notice } from "../../shell/notice.tsx";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import type { ProofStatus } from "./answers.ts";
import { Answered, Card, degrees, Facts, Heading, Step } from "./parts.tsx";
import { saidInProof } from "./proof-line.ts";
import { useUntilDecided } from "./until-decided.ts";

type Final = Extract<ProofStatus, { status: "finalised" }>;

export function ProofPage({ id }: { id: string }) {
  const asked = useUntilDecided<ProofStatus>(`/proof/status/${id}`);
  return (
    <>
      <Heading title={say(explorer.proof)} />
      <p><Id text={id} whole copies /></p>
      <Answered of={asked}>
        {(proof) =>
          proof.status === "finalised" ? <FinalProof proof={proof} />
          : proof.status === "dropped" ? <><p class="bad">{say(explorer.dropped)}</p><Notice error={proof} /></>
          : <p role="status">{say(explorer.pending)}</p>
        }
      </Answered>
    </>
  );
}

function FinalProof({ proof }: { proof: Final }) {
  const receipt = useAnswer<{ proof: { line: string } }>(`/proof/${proof.proofId}/receipt`);
  const said = receipt.answer && saidInProof(receipt.answer.proof.line);
  return (
    <>
      <Card title={say(explorer.finalised)}>
        <Facts
          of={[
            said && [say(explorer.account), <Id text={said.account} to={link("account", said.account)} copies />],
            [say(explorer.reward), <Step amount={proof.reward} />],
            [say(explorer.triangle), <Id text={proof.triangleId} to={link("triangle", proof.triangleId)} copies />],
            [say(explorer.level), proof.level],
            [say(explorer.clicks), say(explorer.clickOf, { clicks: proof.clicks, max: proof.clicksMax })],
            said && [say(explorer.position), degrees(said.lat, said.lon)],
            said && [say(explorer.accuracy), `${said.accuracyM} m`],
            said && [say(explorer.saidAt), <When at={said.timestamp} as="full" />],
            said && [say(explorer.nonce), <span class="mono">{said.nonce}</span>],
            [say(explorer.place), <>{proof.index} · <a href={link("batch", proof.height)}>{say(explorer.batch, { height: proof.height })}</a></>],
            [say(explorer.finalAt), <When at={proof.processedAt} as="full" />],
            [say(explorer.balanceAfter), <Step amount={proof.balance} />],
          ]}
        />
      </Card>
      {receipt.answer && <p><a class="button" href={`${HOME_NODE}/proof/${proof.proofId}/receipt`} download={`step-receipt-${proof.proofId.slice(2, 12)}.json`}>{say(explorer.receiptFile)}</a></p>}
      {receipt.error && (receipt.error.code === "RECEIPT_NOT_FOUND" ? <p class="quiet">{say(explorer.noReceipt)}</p> : <Notice error={receipt.error} again={receipt.again} />)}
    </>
  );
}
