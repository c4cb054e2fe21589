// A key as a file, under a password of its own.
import { useState } from "preact/hooks";
import { Fault, told, type Told } from "../../shell/fault.tsx";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { WalletError } from "../../wallet/faults.ts";
import { addressOfKey } from "../../wallet/keys.ts";
import { writeKeystore } from "../../wallet/keystore.ts";
import { type Bytes, isStrongEnough } from "../../wallet/sealing.ts";
import { keyOf } from "../../wallet/secret.ts";
import { Field } from "./field.tsx";
import { saveFile } from "./save-file.ts";

export function SaveKeystore({ secret, onSaved }: { secret: Bytes; onSaved: () => void }) {
  const [done, setDone] = useState<number | "saved">();
  const [fault, setFault] = useState<Told>();
  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    setFault(undefined);
    setDone(0);
    try {
      const password = String(new FormData(event.currentTarget as HTMLFormElement).get("password"));
      if (!isStrongEnough(password)) throw new WalletError("WEAK_PASSPHRASE");
      const key = keyOf(secret);
      saveFile(`step-key-${addressOfKey(key).slice(0, 10)}.json`, "application/json", await writeKeystore(key, password, setDone));
      key.fill(0);
      setDone("saved");
      onSaved();
    } catch (error) {
      setDone(undefined);
      setFault(told(error));
    }
  };
  return (
    <form onSubmit={(event) => void save(event)}>
      <p class="quiet">{say(wallet.saveFileWhy)}</p>
      <Field label={say(wallet.filePassword)} hint={say(wallet.passphraseHint)}>
        {(own) => <input {...own} name="password" type="password" autocomplete="new-password" required />}
      </Field>
      {fault && <Fault error={fault} />}
      <p role="status" class="quiet">
        {done === "saved" ? say(wallet.fileSaved) : done !== undefined && say(wallet.sealing, { percent: Math.round(done * 100) })}
      </p>
      <button disabled={typeof done === "number"}>{say(wallet.saveFile)}</button>
    </form>
  );
}
