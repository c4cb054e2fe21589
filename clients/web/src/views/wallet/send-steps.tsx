// What follows the form: what will be signed, that it is on its way, and that it is final.
import type { SignedTransfer } from "step-client";
import { Amount } from "../../shell/amount.tsx";
import { decimal, isAmount, micro, shown } from "../../shell/amounts.ts";
import { link } from "../../shell/router.ts";
import { language, say } from "../../shell/texts.ts";
import { sending } from "../../texts/sending.ts";
import type { Account } from "../../wallet/accounts.ts";
import { checksummed } from "../../wallet/address.ts";
import { type Applied, giveUp } from "../../wallet/sending.ts";
import type { Written } from "../../wallet/transfers.ts";

interface ReviewProps {
  account: Account;
  transfer: Written;
  balance: string | null;
  isSigning: boolean;
  onSign: () => void;
  onChange: () => void;
}

export function Review({ account, transfer, balance, isSigning, onSign, onChange }: ReviewProps) {
  const { to, amount, memo } = transfer;
  return (
    <>
      <dl class="facts">
        <dt>{say(sending.amountShort)}</dt>
        <dd class="balance"><Amount of={amount} /></dd>
        <dt>{say(sending.to)}</dt>
        <dd class="mono">{checksummed(to)}</dd>
        <dt>{say(sending.from)}</dt>
        <dd>{account.name} <span class="mono">{checksummed(account.address)}</span></dd>
        {memo !== "" && [<dt>{say(sending.memoShort)}</dt>, <dd>{memo}</dd>]}
        <dt>{say(sending.fee)}</dt>
        <dd>{say(sending.none)}</dd>
        {isAmount(balance) && [<dt>{say(sending.after)}</dt>, <dd><Amount of={decimal(micro(balance) - micro(amount))} /></dd>]}
      </dl>
      <p>{say(sending.final)}</p>
      <p role="status" class="quiet">{isSigning && say(sending.signing)}</p>
      <p class="actions">
        <button type="button" class="main" disabled={isSigning} onClick={onSign}>{say(sending.signAndSend)}</button>
        <button type="button" disabled={isSigning} onClick={onChange}>{say(sending.change)}</button>
      </p>
    </>
  );
}

interface OnItsWayProps {
  signed: SignedTransfer;
  isStuck: boolean;
  onAgain: () => void;
  onGivenUp: () => void;
}

export function OnItsWay({ signed, isStuck, onAgain, onGivenUp }: OnItsWayProps) {
  return (
    <>
      <p role="status">{say(isStuck ? sending.stuck : sending.pending, values(signed))}</p>
      {isStuck && (
        <>
          <p class="actions">
            <button type="button" class="main" onClick={onAgain}>{say(sending.again)}</button>
            <button type="button" onClick={() => void giveUp(signed).then(onGivenUp)}>{say(sending.giveUp)}</button>
          </p>
          <p class="quiet">{say(sending.giveUpWhy)}</p>
        </>
      )}
    </>
  );
}

export function AppliedCard({ signed, applied, onAnother }: { signed: SignedTransfer; applied: Applied; onAnother: () => void }) {
  return (
    <>
      <p role="status" class="good">✓ {say(sending.applied, values(signed))}</p>
      <p>
        <a href={link("batch", applied.height)}>{say(sending.appliedIn, { height: applied.height })}</a>
        {" · "}
        <a href={link("operation", signed.operationId)}>{say(sending.operation)}</a>
        {" · "}
        <a href={link("receipt", signed.operationId)}>{say(sending.receipt)}</a>
      </p>
      <p class="actions"><button type="button" onClick={onAnother}>{say(sending.another)}</button></p>
    </>
  );
}

function values({ form }: SignedTransfer) {
  return { amount: `${shown(form.amount, language())} STEP`, to: checksummed(form.to) };
}
