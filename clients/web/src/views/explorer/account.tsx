// One account: what it has, and what it did and was sent.
import { useState } from "preact/hooks";
import { explorer } from "../../texts/explorer.ts";
import { useEvents } from "../../shell/feed.ts";
import { Id } from "../../shell/ids.tsx";
import { lazy } from "../../shell/lazy.tsx";
import { HOME_NODE, useAnswer } from "../../shell/node.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import type { Transaction } from "../../wallet/transactions.ts";
import type { Account, Transactions, Validators } from "./answers.ts";
import { deed } from "./batch.tsx";
import { More } from "./more.tsx";
import { useListing } from "./pages.ts";
import { Answered, Card, degrees, Facts, Heading, Step } from "./parts.tsx";

const Plausibility = lazy(() => import("../plausibility/plausibility.tsx"), { isVital: false });

export function AccountPage({ address }: { address: string }) {
  const asked = useAnswer<Account>(`/account/${address}`);
  const [round, setRound] = useState(0);
  useEvents(["proof_finalised", "operation_applied"], ({ kind, data }) => {
    if (kind !== "gap" && !isAbout(data, address)) return;
    asked.again();
    setRound((before) => before + 1);
  });
  return (
    <>
      <Heading title={say(explorer.account)} />
      <p><Id text={address} whole copies /></p>
      <AsValidator address={address} />
      <Answered of={asked}>
        {(account) => (
          <Card title={say(explorer.balance)}>
            <p class="large"><Step amount={account.balance} /></p>
            <Facts
              of={[
                [say(explorer.rank), account.rank ?? say(explorer.unranked)],
                [say(explorer.proofs), account.proofs],
                account.lastProof && [say(explorer.lastProof), <><When at={account.lastProof.timestamp} as="full" />, {degrees(account.lastProof.lat, account.lastProof.lon)}</>],
              ]}
            />
          </Card>
        )}
      </Answered>
      <Plausibility kind="accounts" id={address} />
      <Card title={say(explorer.transactions)}>
        <History address={address} round={round} />
        <p><a class="button" href={`${HOME_NODE}/account/${address}/proofs.csv?limit=10000`} download={`step-proofs-${address}.csv`}>{say(explorer.csv)}</a></p>
      </Card>
    </>
  );
}

function AsValidator({ address }: { address: string }) {
  const { answer } = useAnswer<Validators>("/validators");
  const its = answer?.validators.filter((one) => one.address === address || one.owner === address) ?? [];
  return (
    <>
      {its.map((one) => (
        <p class="card">
          {say(one.address === address ? explorer.isValidator : explorer.ownsValidator)} <a href={link("validator", one.address)}>{say(explorer.toValidator)}</a>
        </p>
      ))}
    </>
  );
}

function History({ address, round }: { address: string; round: number }) {
  const listing = useListing<Transactions>(`/account/${address}/transactions`, round);
  const status = useAnswer<{ historiesFrom: number }>("/status");
  const all = listing.pages.flatMap((page) => page.transactions);
  const from = status.answer?.historiesFrom ?? 1;
  return (
    <>
      {all.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">{say(explorer.time)}</th>
              <th scope="col">{say(explorer.type)}</th>
              <th scope="col" class="number">{say(explorer.amount)}</th>
              <th scope="col" class="wide-only">{say(explorer.place)}</th>
            </tr>
          </thead>
          <tbody>{all.map((one) => <Row key={`${one.type} ${one.id}`} of={one} />)}</tbody>
        </table>
      )}
      {all.length === 0 && !listing.isAsking && !listing.error && <p class="quiet">{say(explorer.noTransactions)}</p>}
      <More of={listing} />
      {from > 1 && !listing.hasMore && <p class="quiet small">{say(explorer.historiesFrom, { height: from })}</p>}
    </>
  );
}

function Row({ of: one }: { of: Transaction }) {
  const amount = one.reward ?? one.amount;
  return (
    <tr>
      <td><When at={one.timestamp} /></td>
      <td>
        <a href={link(one.type === "proof" ? "proof" : "operation", one.id)}>{deed(one.type)}</a>
        {one.triangleId && <> · <Id text={one.triangleId} to={link("triangle", one.triangleId)} /></>}
        {one.counterpart && <> · {say(one.type === "transfer_in" ? explorer.from : explorer.to)} <Id text={one.counterpart} to={link("account", one.counterpart)} /></>}
        {one.memo && <div class="quiet"><q>{one.memo}</q></div>}
      </td>
      <td class="number">{amount && <>{one.type === "transfer_out" ? "−" : one.type === "register" ? "" : "+"}<Step amount={amount} /></>}</td>
      <td class="wide-only"><a href={link("batch", one.height)}>{one.height}</a></td>
    </tr>
  );
}

/** Of a proof or an operation, as the feed tells of it. */
function isAbout(data: { account?: string; owner?: string; operation?: { to?: string } }, address: string): boolean {
  return [data.account, data.owner, data.operation?.to].includes(address);
}
