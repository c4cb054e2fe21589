// Accounts of other wallets.
import { useEffect, useState } from "preact/hooks";
import { Fault, told, type Told } from "../../shell/fault.tsx";
import { go, link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { addAccount } from "../../wallet/accounts.ts";
import { WalletError } from "../../wallet/faults.ts";
import { adapterWallet, connect, foundWallets, type FoundWallet, hasAdapter, watchWallets } from "../../wallet/foreign.ts";

export default function Connect() {
  const [wallets, setWallets] = useState(foundWallets());
  const [isAdapterThere, setIsAdapterThere] = useState(false);
  const [fault, setFault] = useState<Told>();
  const [isWaiting, setIsWaiting] = useState(false);
  useEffect(() => watchWallets(() => setWallets(foundWallets())), []);
  useEffect(() => void hasAdapter().then(setIsAdapterThere), []);

  const add = async (kind: "injected" | "adapter", find: () => Promise<FoundWallet>) => {
    setFault(undefined);
    setIsWaiting(true);
    try {
      const found = await find();
      const address = await connect(found);
      await addAccount({ kind, wallet: kind === "adapter" ? found.name : found.id, address, name: found.name, addedAtMs: Date.now() });
      go(link("wallet"));
    } catch (error) {
      setFault(error instanceof Error && !(error instanceof WalletError) ? new WalletError("WALLET_REFUSED", error) : told(error));
    } finally {
      setIsWaiting(false);
    }
  };

  return (
    <section class="card narrow">
      <h1>{say(wallet.walletTitle)}</h1>
      <p class="quiet">{say(wallet.walletNote)}</p>
      {wallets.length === 0 && !isAdapterThere && <p role="status">{say(wallet.walletsNone)}</p>}
      <ul class="plain">
        {wallets.map((found) => (
          <li key={found.id}>
            <button type="button" class="button" disabled={isWaiting} onClick={() => void add("injected", async () => found)}>
              {found.icon && <img class="wallet-icon" src={found.icon} alt="" />}
              {say(wallet.connectTo, { name: found.name })}
            </button>
          </li>
        ))}
        {isAdapterThere && (
          <li>
            <button type="button" disabled={isWaiting} onClick={() => void add("adapter", adapterWallet)}>{say(wallet.adapter)}</button>
            <br />
            <small class="quiet">{say(wallet.adapterNote)}</small>
          </li>
        )}
      </ul>
      <p role="status" class="quiet">{isWaiting && say(wallet.working)}</p>
      {fault && <Fault error={fault} />}
      <p class="actions"><a class="button" href={link("wallet", "add")}>{say(wallet.back)}</a></p>
    </section>
  );
}
