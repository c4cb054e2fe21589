// The words or the file of the current account, once it is unlocked for that.
import { useEffect, useState } from "preact/hooks";
import { Fault, told, type Told } from "../../shell/fault.tsx";
import { go, link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { useAccount } from "../../wallet/accounts.ts";
import { askToUnlock } from "../../wallet/asking.ts";
import type { Bytes } from "../../wallet/sealing.ts";
import { Welcome } from "./welcome.tsx";

export default function Backup() {
  const account = useAccount();
  const [shown, setShown] = useState<{ address: string; secret: Bytes }>();
  const [fault, setFault] = useState<Told>();
  const [Steps, setSteps] = useState<{ BackupSteps: typeof import("./backup-steps.tsx").BackupSteps }>();
  useEffect(() => void import("./backup-steps.tsx").then(setSteps), []);
  if (!account || account.kind !== "own") return <Welcome />;
  const { address } = account;
  const show = () =>
    askToUnlock(account, "backup").then((secret) => setShown({ address, secret }), (error: unknown) => setFault(told(error)));
  // Another tab may have chosen another account meanwhile: these are not its words.
  if (shown?.address === address && Steps) return <Steps.BackupSteps {...shown} onDone={() => go(link("wallet"))} />;
  return (
    <section class="card narrow">
      <h1>{say(wallet.backUp)}</h1>
      <p>{say(wallet.backupWhy)}</p>
      {fault && <Fault error={fault} />}
      <p class="actions">
        <button type="button" class="main" onClick={() => void show()}>{say(wallet.show)}</button>
        <a class="button" href={link("wallet")}>{say(wallet.back)}</a>
      </p>
    </section>
  );
}
