// What an account has done and been sent: its proofs, or everything, the newest first, with more when it is asked for.
import { useState } from "preact/hooks";
import { Amount } from "../../shell/amount.tsx";
import { Fault } from "../../shell/fault.tsx";
import { Id } from "../../shell/ids.tsx";
import { HOME_NODE } from "../../shell/node.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import { shell } from "../../texts/shell.ts";
import { wallet } from "../../texts/wallet.ts";
import type { Transaction } from "../../wallet/transactions.ts";
import { TransactionsCsv } from "./transactions-csv.tsx";
import { useHistory } from "./use-history.ts";

interface Proof {
  proofId: string;
  timestamp: string;
  triangleId: string;
  reward: string;
  balance: string;
}

export function HistoryCard({ address }: { address: string }) {
  const [isWhole, setIsWhole] = useState(true);
  return (
    <section class="card">
      <h2>{say(wallet.history)}</h2>
      <div class="tabs" role="group" aria-label={say(wallet.history)}>
        <button type="button" aria-pressed={isWhole} onClick={() => setIsWhole(true)}>{say(wallet.everything)}</button>
        <button type="button" aria-pressed={!isWhole} onClick={() => setIsWhole(false)}>{say(wallet.proofsFinal)}</button>
      </div>
      {isWhole ? <Transactions address={address} /> : <Proofs address={address} />}
    </section>
  );
}

function Transactions({ address }: { address: string }) {
  const read = useHistory<Transaction>(`/account/${address}/transactions`, "transactions", address);
  return (
    <>
      <Listed read={read} heads={[wallet.when, wallet.what, wallet.amount]}>
        {(entry) => (
          <tr key={`${entry.type} ${entry.id}`}>
            <td><When at={entry.timestamp} /></td>
            <td>
              <What entry={entry} />
              <div><a href={link("receipt", entry.id)}>{say(wallet.receipt)}</a></div>
            </td>
            <td class="number">{moved(entry) !== null && <Amount of={moved(entry)!} signed />}</td>
          </tr>
        )}
      </Listed>
      <TransactionsCsv address={address} />
    </>
  );
}

/** What an account gained or, with a minus, gave away; null for what moved nothing. */
function moved({ type, amount, reward }: Transaction): string | null {
  if (type === "proof") return reward ?? null;
  if (!amount) return null;
  return type === "transfer_in" ? amount : `-${amount}`;
}

function What({ entry }: { entry: Transaction }) {
  const { type, id, counterpart, memo, triangleId } = entry;
  if (type === "proof") {
    return (
      <>
        <a href={link("proof", id)}>{say(wallet.proofTo)}</a>{" "}
        {triangleId && <Id text={triangleId} to={link("triangle", triangleId)} />}
      </>
    );
  }
  if (type !== "transfer_in" && type !== "transfer_out") {
    return <a href={link("operation", id)}>{say(wallet.operation, { name: type })}</a>;
  }
  return (
    <>
      <a href={link("operation", id)}>{say(type === "transfer_in" ? wallet.received : wallet.sent)}</a>{" "}
      {counterpart && <Id text={counterpart} to={link("account", counterpart)} />}
      {memo && <div class="memo">{say(wallet.memoSays, { memo })}</div>}
    </>
  );
}

function Proofs({ address }: { address: string }) {
  const read = useHistory<Proof>(`/account/${address}/proofs`, "proofs", address);
  return (
    <>
      <Listed read={read} heads={[wallet.when, wallet.triangle, wallet.amount, wallet.receipt]}>
        {({ proofId, timestamp, triangleId, reward }) => (
          <tr key={proofId}>
            <td><a href={link("proof", proofId)}><When at={timestamp} /></a></td>
            <td><Id text={triangleId} to={link("triangle", triangleId)} /></td>
            <td class="number"><Amount of={reward} signed /></td>
            <td><a href={link("receipt", proofId)}>{say(wallet.receipt)}</a></td>
          </tr>
        )}
      </Listed>
      <p>
        <a class="button" href={`${HOME_NODE}/account/${address}/proofs.csv`} download={`step-proofs-${address}.csv`}>
          {say(wallet.csv)}
        </a>
      </p>
    </>
  );
}

interface ListedProps<Entry> {
  read: ReturnType<typeof useHistory<Entry>>;
  heads: readonly (typeof wallet)[keyof typeof wallet][];
  children: (entry: Entry) => preact.JSX.Element;
}

function Listed<Entry>({ read: { history, error, isLoading, newer, older }, heads, children }: ListedProps<Entry>) {
  return (
    <>
      {error && <Fault error={error} again={newer} />}
      {history?.entries.length === 0 && <p class="quiet">{say(wallet.nothingYet)}</p>}
      {history && history.entries.length > 0 && (
        <div class="scrolls">
          <table>
            <thead><tr>{heads.map((head) => <th scope="col" class={head === wallet.amount ? "number" : ""}>{say(head)}</th>)}</tr></thead>
            <tbody>{history.entries.map(children)}</tbody>
          </table>
        </div>
      )}
      {!history && !error && <p role="status">{say(shell.loading)}</p>}
      {history?.older && <button type="button" disabled={isLoading} onClick={older}>{say(wallet.more)}</button>}
    </>
  );
}
