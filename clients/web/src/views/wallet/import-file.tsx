import { go, link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { WalletError } from "../../wallet/faults.ts";
import { KEYSTORE_BYTES_MAX, readKeystore } from "../../wallet/keystore.ts";
import { secretOf } from "../../wallet/secret.ts";
import { Field } from "./field.tsx";
import { KeyedForm } from "./keyed-form.tsx";
import { addSealed, chosenSeal, SealFields } from "./seal-fields.tsx";

export default function ImportFile() {
  return (
    <KeyedForm
      title={wallet.fileTitle}
      action={wallet.bringIn}
      act={async (form, progress) => {
        const choice = chosenSeal(form);
        const data = new FormData(form);
        const file = data.get("file");
        if (!(file instanceof File) || file.size > KEYSTORE_BYTES_MAX) throw new WalletError("NO_KEYSTORE");
        const key = await readKeystore(await file.text(), String(data.get("password")), (done) => progress(done / 2));
        const secret = secretOf(key);
        await addSealed(secret, choice, true, (done) => progress(0.5 + done / 2));
        key.fill(0);
        secret.fill(0);
        go(link("wallet"));
      }}
    >
      <Field label={say(wallet.fileLabel)}>
        {(own) => <input {...own} name="file" type="file" accept=".json,application/json" required />}
      </Field>
      <Field label={say(wallet.filePassword)}>
        {(own) => <input {...own} name="password" type="password" required autocomplete="off" />}
      </Field>
      <SealFields />
    </KeyedForm>
  );
}
