import { go, link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { secretOfWords } from "../../wallet/words.ts";
import { Field } from "./field.tsx";
import { KeyedForm } from "./keyed-form.tsx";
import { addSealed, chosenSeal, SealFields } from "./seal-fields.tsx";

export default function ImportWords() {
  return (
    <KeyedForm
      title={wallet.wordsTitle}
      action={wallet.bringIn}
      act={async (form, progress) => {
        const choice = chosenSeal(form);
        const secret = await secretOfWords(String(new FormData(form).get("words")));
        await addSealed(secret, choice, true, progress);
        secret.fill(0);
        form.reset();
        go(link("wallet"));
      }}
    >
      <Field label={say(wallet.wordsLabel)} hint={say(wallet.wordsHint)}>
        {(own) => <textarea {...own} name="words" rows={3} required autocomplete="off" autocapitalize="none" spellcheck={false} />}
      </Field>
      <SealFields />
    </KeyedForm>
  );
}
