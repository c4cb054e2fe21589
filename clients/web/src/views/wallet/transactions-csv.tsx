// Everything of an account as one file, gathered page by page.
import { useState } from "preact/hooks";
import { Fault, told, type Told } from "../../shell/fault.tsx";
import { ask } from "../../shell/node.ts";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { csvOf, type Transaction } from "../../wallet/transactions.ts";
import { saveFile } from "./save-file.ts";

const PAGE_ENTRIES = 100;
/** As many as the node's own tables have; beyond, the file says that it has the newest. */
const ENTRIES_MAX = 10_000;
/** A node whose pages are empty and never end is not asked forever. */
const PAGES_MAX = ENTRIES_MAX / PAGE_ENTRIES;

export function TransactionsCsv({ address }: { address: string }) {
  const [gathered, setGathered] = useState<number>();
  const [fault, setFault] = useState<Told>();
  const [isCut, setIsCut] = useState(false);
  const gather = async () => {
    setFault(undefined);
    const entries: Transaction[] = [];
    try {
      let before: string | null = null;
      let pages = 0;
      do {
        setGathered(entries.length);
        const page: { transactions: Transaction[]; nextCursor: string | null } = await ask(
          `/account/${address}/transactions`,
          { limit: PAGE_ENTRIES, before },
        );
        entries.push(...page.transactions);
        before = page.nextCursor;
      } while (before !== null && entries.length < ENTRIES_MAX && ++pages < PAGES_MAX);
      setIsCut(before !== null);
      saveFile(`step-transactions-${address}.csv`, "text/csv", csvOf(entries));
    } catch (error) {
      setFault(told(error));
    } finally {
      setGathered(undefined);
    }
  };
  return (
    <p>
      <button type="button" disabled={gathered !== undefined} onClick={() => void gather()}>{say(wallet.transactionsCsv)}</button>{" "}
      <span role="status" class="quiet">
        {gathered !== undefined && say(wallet.transactionsCsvRunning, { count: gathered })}
        {isCut && say(wallet.transactionsCsvCut, { count: ENTRIES_MAX })}
      </span>
      {fault && <Fault error={fault} />}
    </p>
  );
}
