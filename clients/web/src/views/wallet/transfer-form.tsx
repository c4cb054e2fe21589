import { useState } from "preact/hooks";
import { PLACES, shown } from "../../shell/amounts.ts";
import { language, say } from "../../shell/texts.ts";
import { sending } from "../../texts/sending.ts";
import { type Faults, MEMO_BYTES_MAX, memoBytes, memoFault, readTransfer, type Written } from "../../wallet/transfers.ts";

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
  return (
    <form onSubmit={read} noValidate>
      <p class="quiet">{say(sending.free)}</p>
      <label class="field">
        {say(sending.to)}
        <input name="to" class="mono" value={to} onInput={change("to")} autocomplete="off" autocapitalize="none" spellcheck={false} aria-invalid={faults.to !== undefined} aria-describedby="to-hint" />
        <small id="to-hint" class={faults.to && "bad"}>{say(faults.to ? sending.faults.to[faults.to] : sending.toHint)}</small>
      </label>
      <label class="field">
        {say(sending.amount)}
        <input name="amount" inputMode="decimal" value={amount} onInput={change("amount")} autocomplete="off" aria-invalid={faults.amount !== undefined} aria-describedby="amount-hint" />
        <small id="amount-hint" class={faults.amount && "bad"}>
          {faults.amount ? say(sending.faults.amount[faults.amount]) : balance !== null && say(sending.available, { balance: `${shown(balance, language())} STEP` })}
        </small>
      </label>
      {balance !== null && (
        <p>
          <button type="button" onClick={() => setFields((before) => ({ ...before, amount: plain(balance) }))}>{say(sending.all)}</button>
        </p>
      )}
      <label class="field">
        {say(sending.memo)}
        <input name="memo" value={memo} onInput={change("memo")} autocomplete="off" aria-invalid={memoNow !== undefined} aria-describedby="memo-hint" />
        <small id="memo-hint" class={memoNow && "bad"}>
          {say(sending.memoHint, { bytes: memoBytes(memo), max: MEMO_BYTES_MAX })} {memoNow && say(sending.faults.memo[memoNow])}
        </small>
      </label>
      <p class="actions"><button class="main">{say(sending.review)}</button></p>
    </form>
  );
}

/** As a person of the language would type it, with all places, so that nobody takes it for thousands. */
function plain(balance: string): string {
  const [whole = "0", places = ""] = balance.split(".");
  return `${whole}${language() === "de" ? "," : "."}${places.padEnd(PLACES, "0")}`;
}
