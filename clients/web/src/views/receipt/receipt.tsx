// `#/receipt`: check any receipt, and see those that are kept here. `#/receipt/ID`: that of a proof or an operation.
import { StepError } from "step-client/errors.js";
import { useEffect, useState } from "preact/hooks";
import { pinnedGenesis } from "../../shell/chain.ts";
import { Id } from "../../shell/ids.tsx";
import { ask } from "../../shell/node.ts";
import { Notice } from "../../shell/notice.tsx";
import { link, type Place } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import { receiptTexts as texts } from "../../texts/receipt.ts";
import { verdictOn, type Verdict } from "../../receipts/checking.ts";
import { fetchReceipt, receiptOf, receiptsKept, takeReceipt, type KeptReceipt } from "../../receipts/kept.ts";
import { Checker } from "./checker.tsx";
import { VerdictCard } from "./verdict-card.tsx";

export default function Receipt({ place }: { place: Place }) {
  const id = place.parts[1];
  return id === undefined ? <AnyReceipt /> : <OneReceipt key={id} id={id} />;
}

/** With the genesis by which it was judged. */
interface Judged {
  verdict: Verdict;
  data: string | Uint8Array;
}

function AnyReceipt() {
  const [judged, setJudged] = useState<Judged>();
  const [error, setError] = useState<StepError>();
  const check = async (data: string | Uint8Array) => {
    setError(undefined);
    await judge(data).then(setJudged, (fault: unknown) => {
      if (!(fault instanceof StepError)) throw fault;
      setError(fault);
    });
  };
  return (
    <>
      <h1>{say(texts.checkTitle)}</h1>
      <p>{say(texts.what)}</p>
      <Checker onReceipt={(data) => void check(data)} />
      <div role="status">{judged && <VerdictCard key={JSON.stringify(judged.verdict)} {...judged} isKept={false} />}</div>
      {error && <NoGenesis error={error} />}
      <KeptReceipts />
    </>
  );
}

function OneReceipt({ id }: { id: string }) {
  const [judged, setJudged] = useState<Judged>();
  const [error, setError] = useState<StepError>();
  const [round, setRound] = useState(0);
  useEffect(() => {
    let wanted = true;
    setError(undefined);
    found(id)
      .then(({ text }) => judge(text))
      .then(
        (now) => wanted && setJudged(now),
        (fault: unknown) => {
          if (!(fault instanceof StepError)) throw fault;
          if (wanted) setError(fault);
        },
      );
    return () => {
      wanted = false;
    };
  }, [id, round]);
  return (
    <>
      <h1>{say(texts.title)}</h1>
      {judged ? (
        <VerdictCard {...judged} isKept />
      ) : error ? (
        <Notice error={error} again={() => setRound((before) => before + 1)} />
      ) : (
        <p role="status">{say(texts.looking)}</p>
      )}
      <p>
        <a href={link("receipt")}>{say(texts.checkTitle)}</a>
      </p>
    </>
  );
}

function NoGenesis({ error }: { error: StepError }) {
  return (
    <>
      <p class="warn">{say(texts.noGenesis)}</p>
      <Notice error={error} />
    </>
  );
}

function KeptReceipts() {
  const [all, setAll] = useState<KeptReceipt[]>();
  useEffect(() => void receiptsKept().then(setAll), []);
  return (
    <section class="card" aria-labelledby="kept-title">
      <h2 id="kept-title">{say(texts.yours)}</h2>
      {all?.length === 0 && <p class="quiet">{say(texts.none)}</p>}
      <ul class="kept">
        {all?.map(({ id, keptAtMs }) => (
          <li key={id}>
            <Id text={id} to={link("receipt", id)} /> <span class="quiet"><When at={keptAtMs} /></span>
          </li>
        ))}
      </ul>
    </section>
  );
}

async function judge(data: string | Uint8Array): Promise<Judged> {
  return { verdict: verdictOn(data, await pinnedGenesis()), data };
}

/** Kept here, or else a node's: of a proof, or of an operation. */
async function found(id: string): Promise<KeptReceipt> {
  const here = await receiptOf(id);
  if (here) return here;
  try {
    return await fetchReceipt(id);
  } catch (error) {
    if (!(error instanceof StepError) || error.code !== "PROOF_NOT_FOUND") throw error;
    // Parsed and written again it is the same: a receipt has one text.
    const receipt = await ask<object>(`/operation/${encodeURIComponent(id)}/receipt`);
    return takeReceipt(id, JSON.stringify(receipt));
  }
}
