// The ways to an account: a key made here, one that is there already, or another wallet.
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { wallet } from "../../texts/wallet.ts";
import { useAccounts } from "../../wallet/accounts.ts";

export function Welcome() {
  const hasSome = (useAccounts()?.length ?? 0) > 0;
  return (
    <section class="card narrow">
      <h1>{say(hasSome ? wallet.add : wallet.welcome)}</h1>
      <p>{say(wallet.welcomeWhy)}</p>
      <p class="actions">
        <a class="button main" href={link("wallet", "new")}>{say(wallet.makeKey)}</a>
        {hasSome && <a class="button" href={link("wallet", "accounts")}>{say(wallet.back)}</a>}
      </p>
      <h2>{say(wallet.otherWays)}</h2>
      <ul class="plain">
        <li><a href={link("wallet", "words")}>{say(wallet.byWords)}</a></li>
        <li><a href={link("wallet", "file")}>{say(wallet.byFile)}</a></li>
        <li><a href={link("wallet", "connect")}>{say(wallet.byWallet)}</a></li>
      </ul>
      <details>
        <summary>{say(wallet.onePerDevice)}</summary>
        <p>{say(wallet.onePerDeviceWhy)}</p>
      </details>
    </section>
  );
}
