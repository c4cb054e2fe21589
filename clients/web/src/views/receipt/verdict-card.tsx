// What a receipt proves, or why it proves nothing; and the receipt itself, to be handed on.
import { useState } from "preact/hooks";
import { shown } from "../../shell/amounts.ts";
import { Id } from "../../shell/ids.tsx";
import { link } from "../../shell/router.ts";
import { language, say, type Text } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import { receiptTexts as texts, steps } from "../../texts/receipt.ts";
import { STEPS, type SignedPlace, type Step, type Verdict } from "../../receipts/checking.ts";
import { jsonOf } from "../../receipts/forms.ts";
import { keepReceipt } from "../../receipts/kept.ts";
import type { VerifiedReceipt } from "step-client";
import { Code } from "./code.tsx";

interface Props {
  verdict: Verdict;
  data: string | Uint8Array;
  isKept: boolean;
}

export function VerdictCard({ verdict, data, isKept }: Props) {
  return verdict.isTrue ? (
    <section class="card verdict">
      <p class="verdict-head good">
        <Tick /> <strong>{say(texts.verified)}</strong>
      </p>
      <p>{say(texts.verifiedMore, { chain: verdict.receipt.chainId })}</p>
      <Facts receipt={verdict.receipt} place={verdict.place} />
      <Checked failed={null} />
      <p class="quiet">{say(texts.notShown)}</p>
      <HandOn receipt={verdict.receipt} data={data} isKept={isKept} />
    </section>
  ) : (
    <section class="card verdict">
      <p class="verdict-head bad">
        <Cross /> <strong>{say(texts.refused)}</strong>
      </p>
      <p>{say(texts.refusedMore)}</p>
      <Checked failed={verdict.step} />
      <dl class="facts">
        <dt>{say(texts.expected)}</dt>
        <dd>{verdict.expected}</dd>
        <dt>{say(texts.found)}</dt>
        <dd>{verdict.found}</dd>
      </dl>
    </section>
  );
}

function Facts({ receipt, place }: { receipt: VerifiedReceipt; place: SignedPlace | null }) {
  const { kind, id, account, reward, balance, height, timestamp, signers, line } = receipt;
  return (
    <dl class="facts">
      {reward !== undefined && <Amount name={texts.reward} amount={reward} />}
      <Amount name={texts.balance} amount={balance} />
      <dt>{say(texts.account)}</dt>
      <dd><Id text={account} to={link("account", account)} copies /></dd>
      {place && (
        <>
          <dt>{say(texts.place)}</dt>
          <dd>{say(texts.placeValue, { lat: place.lat, lon: place.lon, metres: place.accuracyM })}</dd>
          <dt>{say(texts.signedAt)}</dt>
          <dd>{Number.isNaN(Date.parse(place.timestamp)) ? place.timestamp : <When at={place.timestamp} as="full" />}</dd>
          <dt>{say(texts.triangle)}</dt>
          <dd><Id text={place.triangleId} to={link("triangle", place.triangleId)} /></dd>
        </>
      )}
      <dt>{say(texts.finalAt)}</dt>
      <dd><When at={timestamp} as="full" /></dd>
      <dt>{say(texts.batch)}</dt>
      <dd><a href={link("batch", height)}>{height}</a></dd>
      <dt>{say(texts.signers)}</dt>
      <dd>{say(texts.signersValue, { count: signers.length })}</dd>
      <dt>{say(kind === "proof" ? texts.proof : texts.operation)}</dt>
      <dd><Id text={id} to={link(kind, id)} copies /></dd>
      {!place && (
        <>
          <dt>{say(texts.line)}</dt>
          <dd class="mono">{line}</dd>
        </>
      )}
    </dl>
  );
}

function Amount({ name, amount }: { name: Text; amount: string }) {
  return (
    <>
      <dt>{say(name)}</dt>
      <dd><strong>{shown(amount, language())}</strong> STEP</dd>
    </>
  );
}

/** The steps, one after another; after the first that fails none was looked at. */
function Checked({ failed }: { failed: Step | null }) {
  const end = failed === null ? STEPS.length : STEPS.indexOf(failed);
  return (
    <details open={failed !== null}>
      <summary>{say(texts.checked)}</summary>
      <ol class="steps">
        {STEPS.map((step, index) => (
          <li class={index < end ? "good" : index === end ? "bad" : "quiet"}>
            <span>{say(steps[step]!)}</span> ({say(index < end ? texts.passed : index === end ? texts.failed : texts.notReached)})
          </li>
        ))}
      </ol>
    </details>
  );
}

function HandOn({ receipt, data, isKept: wasKept }: { receipt: VerifiedReceipt; data: string | Uint8Array; isKept: boolean }) {
  const [showsCode, setShowsCode] = useState(false);
  const [isKept, setKept] = useState(wasKept);
  const keep = async () => {
    await keepReceipt(receipt.id, jsonOf(data));
    setKept(true);
  };
  return (
    <>
      <p class="actions">
        <button type="button" aria-expanded={showsCode} onClick={() => setShowsCode(!showsCode)}>
          {say(showsCode ? texts.hideCode : texts.showCode)}
        </button>
        <button type="button" onClick={() => save(jsonOf(data), `step-receipt-${receipt.id.slice(2, 14)}.json`)}>
          {say(texts.download)}
        </button>
        {!isKept && (
          <button type="button" onClick={() => void keep()}>
            {say(texts.keep)}
          </button>
        )}
      </p>
      {!wasKept && <p role="status" class="good">{isKept && say(texts.isKept)}</p>}
      {showsCode && <Code data={data} />}
    </>
  );
}

function save(text: string, name: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name;
  anchor.click();
  // The browser has it by then; a page that is long open should not keep it.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

function Tick() {
  return (
    <svg class="mark" viewBox="0 0 24 24" width="28" height="28" aria-hidden="true">
      <circle cx="12" cy="12" r="10.5" />
      <path d="m7 12.5 3.5 3.5L17 9" />
    </svg>
  );
}

function Cross() {
  return (
    <svg class="mark" viewBox="0 0 24 24" width="28" height="28" aria-hidden="true">
      <circle cx="12" cy="12" r="10.5" />
      <path d="m8 8 8 8m0-8-8 8" />
    </svg>
  );
}
