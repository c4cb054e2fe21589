// A key made here, and its words, which are asked for at once, while the key is worth nothing.
import { useState } from "preact/hooks";
import { go, link } from "../../shell/router.ts";
import { wallet } from "../../texts/wallet.ts";
import type { OwnAccount } from "../../wallet/accounts.ts";
import type { Bytes } from "../../wallet/sealing.ts";
import { newSecret } from "../../wallet/words.ts";
import { BackupSteps } from "./backup-steps.tsx";
import { KeyedForm } from "./keyed-form.tsx";
import { addSealed, chosenSeal, SealFields } from "./seal-fields.tsx";

export default function NewKey() {
  const [made, setMade] = useState<{ account: OwnAccount; secret: Bytes }>();
  if (made) return <BackupSteps address={made.account.address} secret={made.secret} onDone={() => go(link("wallet"))} />;
  return (
    <KeyedForm
      title={wallet.newTitle}
      action={wallet.create}
      act={async (form, progress) => {
        const choice = chosenSeal(form);
        const secret = await newSecret();
        setMade({ account: await addSealed(secret, choice, false, progress), secret });
      }}
    >
      <SealFields />
    </KeyedForm>
  );
}
