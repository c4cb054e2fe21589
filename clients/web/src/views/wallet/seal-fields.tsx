// The fields of a form that say what an account is called and how its key is sealed, and the sealing itself.
import { useState } from "preact/hooks";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { accountsLoaded, addAccount, useAccounts, type OwnAccount } from "../../wallet/accounts.ts";
import { WalletError } from "../../wallet/faults.ts";
import { addressOfKey } from "../../wallet/keys.ts";
import { isThisMachine, makePasskey, passkeyHindrance } from "../../wallet/passkey.ts";
import { isStrongEnough, type Bytes, type Progress, sealByPasskey, sealByPassphrase } from "../../wallet/sealing.ts";
import { keyOf } from "../../wallet/secret.ts";
import { unlock } from "../../wallet/unlocked.ts";
import { Field } from "./field.tsx";

export const NAME_CHARACTERS_MAX = 40;

export interface SealChoice {
  name: string;
  /** Null for a passkey. */
  passphrase: string | null;
}

/** Seals a secret as was chosen, and makes its account current, and unlocked. Throws WalletError. The secret stays the
 *  caller's, who overwrites it. */
export async function addSealed(
  secret: Bytes,
  { name, passphrase }: SealChoice,
  isBackedUp: boolean,
  progress?: Progress,
): Promise<OwnAccount> {
  const address = addressOfKey(keyOf(secret));
  await accountsLoaded();
  const seal =
    passphrase === null
      ? await sealByPasskey(secret, address, await makePasskey(`STEP ${name} ${address.slice(0, 8)}`))
      : await sealByPassphrase(secret, address, passphrase, progress);
  const account: OwnAccount = { kind: "own", address, name, addedAtMs: Date.now(), seal, isBackedUp };
  await addAccount(account);
  // So that a browser that wants room does not throw keys away; it may ask, or decide by itself, or fail at it.
  navigator.storage?.persist?.().catch(() => false);
  unlock(address, secret.slice());
  return account;
}

/** What `SealFields` have in a form. Throws WalletError (WEAK_PASSPHRASE) where that can be told before anything is done. */
export function chosenSeal(form: HTMLFormElement): SealChoice {
  const data = new FormData(form);
  const name = String(data.get("name")).trim().slice(0, NAME_CHARACTERS_MAX) || say(wallet.defaultName, { number: 1 });
  if (data.get("seal") === "passkey") return { name, passphrase: null };
  const passphrase = String(data.get("passphrase"));
  if (!isStrongEnough(passphrase)) throw new WalletError("WEAK_PASSPHRASE");
  return { name, passphrase };
}

export function SealFields() {
  const hindrance = passkeyHindrance();
  const [by, setBy] = useState<"passkey" | "passphrase">(hindrance ? "passphrase" : "passkey");
  const number = (useAccounts()?.length ?? 0) + 1;
  return (
    <>
      <Field label={say(wallet.name)} hint={say(wallet.nameHint)}>
        {(own) => <input {...own} name="name" defaultValue={say(wallet.defaultName, { number })} maxLength={NAME_CHARACTERS_MAX} required autocomplete="off" />}
      </Field>
      <fieldset>
        <legend>{say(wallet.sealHow)}</legend>
        <label class="choice">
          <input type="radio" name="seal" value="passkey" checked={by === "passkey"} disabled={hindrance !== null} onChange={() => setBy("passkey")} />
          {say(wallet.sealByPasskey)}
        </label>
        {hindrance === "address" && (
          <small class="quiet">
            {say(isThisMachine(location.hostname) ? wallet.noPasskeyHere : wallet.noPasskeyAddress, {
              host: location.hostname,
              port: location.port,
            })}
          </small>
        )}
        <label class="choice">
          <input type="radio" name="seal" value="passphrase" checked={by === "passphrase"} onChange={() => setBy("passphrase")} />
          {say(wallet.sealByPassphrase)}
        </label>
      </fieldset>
      {by === "passphrase" && <Passphrases />}
    </>
  );
}

function Passphrases() {
  const [first, setFirst] = useState("");
  const differ = (event: Event) => {
    const again = event.currentTarget as HTMLInputElement;
    again.setCustomValidity(again.value === first ? "" : say(wallet.passphrasesDiffer));
  };
  return (
    <>
      <Field label={say(wallet.passphrase)} hint={say(wallet.passphraseHint)}>
        {(own) => <input {...own} name="passphrase" type="password" autocomplete="new-password" required onInput={(event) => setFirst(event.currentTarget.value)} />}
      </Field>
      <Field label={say(wallet.passphraseAgain)}>
        {(own) => <input {...own} type="password" autocomplete="new-password" required onInput={differ} />}
      </Field>
    </>
  );
}
