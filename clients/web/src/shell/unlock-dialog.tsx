// The dialog that asks for what opens a key, wherever in the app that is wanted.
import { useEffect, useRef, useState } from "preact/hooks";
import { unlockTexts } from "../texts/unlock.ts";
import { walletFaults } from "../texts/wallet-faults.ts";
import type { Question } from "../wallet/asking.ts";
import { WalletError } from "../wallet/faults.ts";
import { askPasskey } from "../wallet/passkey.ts";
import { openByPasskey, openByPassphrase } from "../wallet/sealing.ts";
import { say } from "./texts.ts";

export default function UnlockDialog({ question }: { question: Question }) {
  const { account, wantedFor, answer, cancel } = question;
  const { seal } = account;
  const dialog = useRef<HTMLDialogElement>(null);
  const [fault, setFault] = useState<WalletError>();
  const [done, setDone] = useState<number>();
  useEffect(() => dialog.current?.showModal(), []);

  const open = async (event: SubmitEvent) => {
    event.preventDefault();
    setFault(undefined);
    const form = event.currentTarget as HTMLFormElement;
    try {
      if (seal.by === "passkey") {
        const answered = await askPasskey(seal.credentialId, seal.question);
        answer(await openByPasskey(seal, account.address, answered));
      } else {
        setDone(0);
        const passphrase = String(new FormData(form).get("passphrase"));
        answer(await openByPassphrase(seal, account.address, passphrase, setDone));
      }
    } catch (error) {
      if (!(error instanceof WalletError)) throw error;
      setFault(error);
    } finally {
      setDone(undefined);
    }
  };

  const reason = wantedFor === "signing" ? unlockTexts.forSigning : unlockTexts.forBackup;
  return (
    <dialog ref={dialog} class="card" aria-labelledby="unlock-title" onCancel={(event) => (event.preventDefault(), cancel())}>
      <form onSubmit={open}>
        <h2 id="unlock-title">{say(unlockTexts.title, { name: account.name })}</h2>
        <p>{say(reason, { account: `${account.address.slice(0, 8)}…${account.address.slice(-6)}` })}</p>
        {seal.by === "passphrase" && (
          <label>
            {say(unlockTexts.passphrase)}
            <input name="passphrase" type="password" autocomplete="current-password" required disabled={done !== undefined} />
          </label>
        )}
        <p role="status" class={fault ? "bad" : "quiet"}>
          {fault
            ? say(walletFaults[fault.code])
            : done !== undefined && say(unlockTexts.working, { percent: Math.round(done * 100) })}
        </p>
        <p class="actions">
          <button class="main" disabled={done !== undefined}>
            {say(seal.by === "passkey" ? unlockTexts.byPasskey : unlockTexts.unlock)}
          </button>
          <button type="button" onClick={cancel}>{say(unlockTexts.cancel)}</button>
        </p>
      </form>
    </dialog>
  );
}
