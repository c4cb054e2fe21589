// The words of a key, to be written down, and two of them asked for, so that it is known that they were. The secret is
// overwritten when this leaves the page.
import { useEffect, useMemo, useState } from "preact/hooks";
import { StepHeading } from "../../shell/heading.tsx";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { changeAccount } from "../../wallet/accounts.ts";
import { type Bytes, randomBytes } from "../../wallet/sealing.ts";
import { wordsOf } from "../../wallet/words.ts";
import { Field } from "./field.tsx";
import { SaveKeystore } from "./save-keystore.tsx";

interface Props {
  /** Whose secret it is. */
  address: string;
  secret: Bytes;
  onDone: () => void;
}

export function BackupSteps({ address, secret, onDone }: Props) {
  const words = useMemo(() => wordsOf(secret), [secret]);
  const [isAsking, setIsAsking] = useState(false);
  useEffect(() => () => void secret.fill(0), [secret]);
  const done = async () => {
    await changeAccount(address, { isBackedUp: true });
    onDone();
  };
  if (!words) {
    return (
      <section class="card narrow">
        <StepHeading>{say(wallet.backUp)}</StepHeading>
        <p>{say(wallet.noWords)}</p>
        <SaveKeystore secret={secret} onSaved={() => void changeAccount(address, { isBackedUp: true })} />
        <p class="actions"><a class="button" href={link("wallet")}>{say(wallet.back)}</a></p>
      </section>
    );
  }
  if (isAsking) return <Asking words={words} onRight={() => void done()} onAgain={() => setIsAsking(false)} />;
  return (
    <section class="card narrow">
      <StepHeading>{say(wallet.backupTitle)}</StepHeading>
      <p>{say(wallet.backupWhy)}</p>
      <ol class="words" aria-label={say(wallet.words)}>
        {words.map((word) => <li>{word}</li>)}
      </ol>
      <p class="actions">
        <button type="button" class="main" onClick={() => setIsAsking(true)}>{say(wallet.written)}</button>
        <a class="button" href={link("wallet")}>{say(wallet.later)}</a>
      </p>
      <details>
        <summary>{say(wallet.saveFile)}</summary>
        <SaveKeystore secret={secret} onSaved={() => void changeAccount(address, { isBackedUp: true })} />
      </details>
    </section>
  );
}

function Asking({ words, onRight, onAgain }: { words: readonly string[]; onRight: () => void; onAgain: () => void }) {
  const asked = useMemo(() => twoOf(words.length), [words]);
  const [isWrong, setIsWrong] = useState(false);
  const check = (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const isRight = asked.every((place) => String(data.get(`word-${place}`)).trim().toLowerCase() === words[place]);
    setIsWrong(!isRight);
    if (isRight) onRight();
  };
  return (
    <section class="card narrow">
      <StepHeading>{say(wallet.confirmTitle)}</StepHeading>
      <form onSubmit={check}>
        {asked.map((place) => (
          <Field label={say(wallet.wordNumber, { number: place + 1 })}>
            {(own) => <input {...own} name={`word-${place}`} required autocomplete="off" autocapitalize="none" spellcheck={false} />}
          </Field>
        ))}
        <p role="status" class="bad">{isWrong && say(wallet.wordsDiffer)}</p>
        <p class="actions">
          <button class="main">{say(wallet.confirm)}</button>
          <button type="button" onClick={onAgain}>{say(wallet.showAgain)}</button>
          <a class="button" href={link("wallet")}>{say(wallet.later)}</a>
        </p>
      </form>
    </section>
  );
}

/** Two different places, the first one first. */
function twoOf(count: number): [number, number] {
  const [some = 0, other = 0] = randomBytes(2);
  const first = some % count;
  const second = (first + 1 + (other % (count - 1))) % count;
  return [Math.min(first, second), Math.max(first, second)];
}
