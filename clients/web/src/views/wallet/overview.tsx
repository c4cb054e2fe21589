// What the current account has, and has done.
import { useState } from "preact/hooks";
import { Amount } from "../../shell/amount.tsx";
import { Fault } from "../../shell/fault.tsx";
import { useEvents } from "../../shell/feed.ts";
import { CopyButton } from "../../shell/ids.tsx";
import { useAnswer } from "../../shell/node.ts";
import { QrCode } from "../../shell/qr-code.tsx";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import type { Account } from "../../wallet/accounts.ts";
import { checksummed } from "../../wallet/address.ts";
import { lock, useIsUnlocked } from "../../wallet/unlocked.ts";
import { HistoryCard } from "./history-card.tsx";
import { PendingNotice } from "./pending-notice.tsx";

interface AccountAnswer {
  balance: string;
  proofs: number;
  rank: number | null;
}

export function Overview({ account }: { account: Account }) {
  const { address } = account;
  const { answer, error, again } = useAnswer<AccountAnswer>(`/account/${address}`);
  useEvents(["proof_finalised", "operation_applied"], ({ kind, data }) => {
    if (kind === "gap" || JSON.stringify(data).includes(address)) again();
  });
  return (
    <>
      <PendingNotice account={address} />
      {account.kind === "own" && !account.isBackedUp && <NoBackup />}
      <section class="card">
        <div class="head">
          <h1 class="name">{account.name}</h1>
          <a href={link("wallet", "accounts")}>{say(wallet.accounts)}</a>
        </div>
        <h2 class="unseen">{say(wallet.balance)}</h2>
        <p class="balance" role="status" data-balance={answer?.balance}>
          {answer ? <Amount of={answer.balance} /> : error ? "–" : "…"}
        </p>
        {answer && (
          <p class="quiet">
            {say(wallet.proofsFinal)}: {answer.proofs}
            {answer.rank !== null && ` · ${say(wallet.rank)}: ${answer.rank}`}
          </p>
        )}
        <div class="actions">
          <a class="button main" href={link("prove")}>{say(wallet.proveNow)}</a>
          <a class="button" href={link("wallet", "send")}>{say(wallet.send)}</a>
        </div>
        <h2 class="unseen">{say(wallet.address)}</h2>
        <p>
          <span class="mono" data-account>{checksummed(address)}</span>
          <CopyButton text={checksummed(address)} what={say(wallet.address)} />
          <br />
          <span class="quiet">{say(wallet.receive)}</span>
        </p>
        <AddressCode key={address} address={checksummed(address)} />
        {account.kind === "own" && <LockState address={address} />}
      </section>
      {error && !answer && <Fault error={error} again={again} />}
      <HistoryCard address={address} />
    </>
  );
}

/** For who pays from a phone: its camera reads the address. */
function AddressCode({ address }: { address: string }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="own-address" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{say(wallet.addressCode)}</summary>
      {isOpen && <QrCode text={address} label={say(wallet.addressCodeOf, { address })} />}
    </details>
  );
}

function NoBackup() {
  return (
    <div class="card notice">
      <p>{say(wallet.noBackup)}</p>
      <div class="actions">
        <a class="button" href={link("wallet", "backup")}>{say(wallet.backUpNow)}</a>
      </div>
    </div>
  );
}

function LockState({ address }: { address: string }) {
  const isUnlocked = useIsUnlocked(address);
  return (
    <div class="head">
      <span class="quiet" role="status">{say(isUnlocked ? wallet.unlockedNow : wallet.lockedNow)}</span>
      {isUnlocked && <button type="button" onClick={() => lock(address)}>{say(wallet.lock)}</button>}
    </div>
  );
}
