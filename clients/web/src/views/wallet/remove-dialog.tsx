import { useEffect, useRef, useState } from "preact/hooks";
import { shown } from "../../shell/amounts.ts";
import { language, say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { type Account, removeAccount } from "../../wallet/accounts.ts";
import { lock } from "../../wallet/unlocked.ts";

export function RemoveDialog({ account, balance, onClosed }: { account: Account; balance: string | undefined; onClosed: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isSure, setIsSure] = useState(account.kind !== "own");
  useEffect(() => dialog.current?.showModal(), []);
  const remove = async () => {
    lock(account.address);
    await removeAccount(account.address);
    onClosed();
  };
  const has = balance === undefined ? say(wallet.unknownBalance) : `${shown(balance, language())} STEP`;
  return (
    <dialog ref={dialog} class="card" aria-labelledby="remove-title" onCancel={onClosed}>
      <h2 id="remove-title">{say(wallet.removeTitle, { name: account.name })}</h2>
      <p>{account.kind === "own" ? say(wallet.removeOwn, { balance: has }) : say(wallet.removeForeign)}</p>
      {account.kind === "own" && (
        <label class="choice">
          <input type="checkbox" checked={isSure} onChange={(event) => setIsSure(event.currentTarget.checked)} />
          {say(wallet.removeSure)}
        </label>
      )}
      <p class="actions">
        <button type="button" disabled={!isSure} onClick={() => void remove()}>{say(wallet.remove)}</button>
        <button type="button" class="main" onClick={onClosed}>{say(wallet.cancel)}</button>
      </p>
    </dialog>
  );
}
