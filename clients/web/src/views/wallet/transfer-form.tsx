import { useState } from "preact/hooks";
import { PLACES, shown } from "../../shell/amounts.ts";
import { language, say } from "../../shell/texts.ts";
import { sending } from "../../texts/sending.ts";
import { type Faults, MEMO_BYTES_MAX, memoBytes, memoFault, readTransfer, type Written } from "../../wallet/transfers.ts";
import { Field } from "./field.tsx";

interface Props {
  owner: string;
  /** Null while it is not known. */
  balance: string | null;
  written: Written;
  onRead: (transfer: Written) => void;
}

export function TransferForm({ owner, balance, written, onRead }: Props) {
  const [{ to, amount, memo }, setFields] = useState(written);
  const [faults, setFaults] = useState<Faults>({});
  const change = (field: keyof Written) => (event: { currentTarget: HTMLInputElement }) => {
    const { value } = event.currentTarget;
    setFields((before) => ({ ...before, [field]: value }));
    setFaults(({ [field]: _, ...others }) => others);
  };
  const read = (event: SubmitEvent) => {
    event.preventDefault();
    const got = readTransfer({ to, amount, memo }, owner, balance);
    if ("transfer" in got) return onRead(got.transfer);
    setFaults(got.faults);
    const first = (["to", "amount", "memo"] as const).find((field) => got.faults[field]);
    const named = first && (event.currentTarget as HTMLFormElement).elements.namedItem(first);
    if (named instanceof HTMLElement) named.focus();
  };
  const memoNow = memoFault(memo) ?? faults.memo;
  const toHint = say(faults.to ? sending.faults.to[faults.to] : sending.toHint);
  const has = balance === null ? "" : say(sending.available, { balance: `${shown(balance, language())} STEP` });
  const amountHint = faults.amount ? say(sending.faults.amount[faults.amount]) : has;
  const counted = say(sending.memoHint, { bytes: memoBytes(memo), max: MEMO_BYTES_MAX });
  const memoHint = memoNow ? `${counted} ${say(sending.faults.memo[memoNow])}` : counted;
  return (
    <form onSubmit={read} noValidate>
      <p class="quiet">{say(sending.free)}</p>
      <Field label={say(sending.to)} hint={toHint} isWrong={faults.to !== undefined}>
        {(own) => <input {...own} name="to" class="mono" value={to} onInput={change("to")} autocomplete="off" autocapitalize="none" spellcheck={false} />}
      </Field>
      <Field label={say(sending.amount)} hint={amountHint} isWrong={faults.amount !== undefined}>
        {(own) => <input {...own} name="amount" inputMode="decimal" value={amount} onInput={change("amount")} autocomplete="off" />}
      </Field>
      {balance !== null && (
        <p>
          <button type="button" onClick={() => setFields((before) => ({ ...before, amount: plain(balance) }))}>{say(sending.all)}</button>
        </p>
      )}
      <Field label={say(sending.memo)} hint={memoHint} isWrong={memoNow !== undefined}>
        {(own) => <input {...own} name="memo" value={memo} onInput={change("memo")} autocomplete="off" />}
      </Field>
      <p class="actions"><button class="main">{say(sending.review)}</button></p>
    </form>
  );
}

/** As a person of the language would type it, with all places, so that nobody takes it for thousands. */
function plain(balance: string): string {
  const [whole = "0", places = ""] = balance.split(".");
  return `${whole}${language() === "de" ? "," : "."}${places.padEnd(PLACES, "0")}`;
}
