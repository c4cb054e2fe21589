// What asks the person to unlock an account, and the shell's dialog that does, meet here: one question at a time.
import { useEffect, useState } from "preact/hooks";
import type { OwnAccount } from "./accounts.ts";
import { WalletError } from "./faults.ts";
import type { Bytes } from "./sealing.ts";

export interface Question {
  account: OwnAccount;
  /** What the key is wanted for: to sign with, or to be shown and written down. */
  wantedFor: "signing" | "backup";
  answer: (secret: Bytes) => void;
  cancel: () => void;
}

let open: Question | null = null;
let before: Promise<unknown> = Promise.resolve();
const watchers = new Set<() => void>();

/** The secret of an account, as soon as the person has unlocked it. Throws WalletError (CANCELLED). */
export function askToUnlock(account: OwnAccount, wantedFor: Question["wantedFor"]): Promise<Bytes> {
  const asked = before.then(
    () =>
      new Promise<Bytes>((resolve, reject) => {
        // What comes after the first answer (a passphrase that was stretched when somebody cancelled) changes nothing.
        const question: Question = {
          account,
          wantedFor,
          answer: (secret) => (close(question), resolve(secret)),
          cancel: () => (close(question), reject(new WalletError("CANCELLED"))),
        };
        show(question);
      }),
  );
  before = asked.catch(() => undefined); // The next one is asked however this one ends.
  return asked;
}

/** The question that the dialog puts now. */
export function useQuestion(): Question | null {
  const [question, setQuestion] = useState(open);
  useEffect(() => {
    const changed = () => setQuestion(open);
    watchers.add(changed);
    changed();
    return () => void watchers.delete(changed);
  }, []);
  return question;
}

function close(question: Question): void {
  if (open === question) show(null);
}

function show(question: Question | null): void {
  open = question;
  for (const changed of watchers) changed();
}
