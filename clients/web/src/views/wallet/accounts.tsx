// The accounts of this device: which is current, how each is sealed, and what can be done with it.
import { useState } from "preact/hooks";
import { Amount } from "../../shell/amount.tsx";
import { Fault, told, type Told } from "../../shell/fault.tsx";
import { Id } from "../../shell/ids.tsx";
import { useAnswer } from "../../shell/node.ts";
import { go, link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { type Account, changeAccount, chooseAccount, currentAccount, useAccounts } from "../../wallet/accounts.ts";
import { checksummed } from "../../wallet/address.ts";
import { signerOf } from "../../wallet/signing.ts";
import { signTestMessage, type Tested } from "../../wallet/test-message.ts";
import { Field } from "./field.tsx";
import { RemoveDialog } from "./remove-dialog.tsx";
import { NAME_CHARACTERS_MAX } from "./seal-fields.tsx";

export default function Accounts() {
  const accounts = useAccounts() ?? [];
  return (
    <div class="narrow">
      <div class="head">
        <h1>{say(wallet.accounts)}</h1>
        <a href={link("wallet")}>{say(wallet.back)}</a>
      </div>
      {accounts.map((account) => <One key={account.address} account={account} isCurrent={account.address === currentAccount()} />)}
      <p><a class="button main" href={link("wallet", "add")}>{say(wallet.add)}</a></p>
    </div>
  );
}

function One({ account, isCurrent }: { account: Account; isCurrent: boolean }) {
  const { address, name } = account;
  const { answer } = useAnswer<{ balance: string }>(`/account/${address}`);
  const [isRenaming, setIsRenaming] = useState(false);
  const [isRemoving, setIsRemoving] = useState(false);
  const backUp = async () => {
    await chooseAccount(address);
    go(link("wallet", "backup"));
  };
  return (
    <section class="card" aria-label={name}>
      {isRenaming ? <Renaming account={account} onDone={() => setIsRenaming(false)} /> : (
        <div class="head">
          <h2>{name}</h2>
          {isCurrent && <strong class="good">{say(wallet.current)}</strong>}
        </div>
      )}
      <p>
        <Id text={checksummed(address)} to={link("account", address)} copies />
        {answer && <> · <Amount of={answer.balance} /></>}
        <br />
        <span class="quiet"><How account={account} /></span>
      </p>
      <div class="actions">
        {!isCurrent && <button type="button" class="main" onClick={() => void chooseAccount(address)}>{say(wallet.choose)}</button>}
        <button type="button" onClick={() => setIsRenaming(true)}>{say(wallet.rename)}</button>
        {account.kind === "own" && <button type="button" onClick={() => void backUp()}>{say(wallet.backUp)}</button>}
        <button type="button" onClick={() => setIsRemoving(true)}>{say(wallet.remove)}</button>
      </div>
      <TestMessage account={account} />
      {isRemoving && <RemoveDialog account={account} balance={answer?.balance} onClosed={() => setIsRemoving(false)} />}
    </section>
  );
}

function How({ account }: { account: Account }) {
  if (account.kind !== "own") {
    return <>{account.kind === "injected" ? say(wallet.inWallet, { wallet: account.wallet }) : say(wallet.inAdapter)}</>;
  }
  return (
    <>
      {say(account.seal.by === "passkey" ? wallet.sealedByPasskey : wallet.sealedByPassphrase)}
      {" · "}
      <span class={account.isBackedUp ? "nowrap" : "warn nowrap"}>{say(account.isBackedUp ? wallet.backedUp : wallet.notBackedUp)}</span>
    </>
  );
}

function Renaming({ account, onDone }: { account: Account; onDone: () => void }) {
  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget as HTMLFormElement).get("name")).trim();
    if (name) await changeAccount(account.address, { name: name.slice(0, NAME_CHARACTERS_MAX) });
    onDone();
  };
  return (
    <form onSubmit={(event) => void save(event)}>
      <Field label={say(wallet.name)}>
        {(own) => <input {...own} name="name" defaultValue={account.name} maxLength={NAME_CHARACTERS_MAX} required autocomplete="off" />}
      </Field>
      <p class="actions">
        <button class="main">{say(wallet.save)}</button>
        <button type="button" onClick={onDone}>{say(wallet.cancel)}</button>
      </p>
    </form>
  );
}

function TestMessage({ account }: { account: Account }) {
  const [tested, setTested] = useState<Tested>();
  const [fault, setFault] = useState<Told>();
  const sign = async () => {
    setFault(undefined);
    try {
      setTested(await signTestMessage(signerOf(account), Date.now()));
    } catch (error) {
      setFault(told(error));
    }
  };
  const isRight = tested?.signedBy === account.address;
  return (
    <details>
      <summary>{say(wallet.test)}</summary>
      <p><button type="button" onClick={() => void sign()}>{say(wallet.test)}</button></p>
      {fault && <Fault error={fault} />}
      <p role="status" class={isRight ? "good" : "bad"}>
        {tested && (isRight ? `✓ ${say(wallet.testSigned, { account: checksummed(account.address) })}` : say(wallet.testWrong))}
      </p>
      {tested && (
        <dl class="facts">
          <dt>{say(wallet.message)}</dt>
          <dd class="mono">{tested.line}</dd>
          <dt>{say(wallet.signature)}</dt>
          <dd class="mono">{tested.signature}</dd>
        </dl>
      )}
    </details>
  );
}
