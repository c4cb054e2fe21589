// Who signs for an account. The key of a sealed one is asked for each time that it is not unlocked: a signer that somebody
// holds on to is worth nothing once the wallet is locked.
import type { Signer } from "step-client";
import { privateKeySigner, providerSigner } from "step-client/proof.js";
import type { Account } from "./accounts.ts";
import { WalletError } from "./faults.ts";
import { providerOf } from "./foreign.ts";
import { unlocked } from "./unlocked.ts";

export function signerOf(account: Account | null): Signer {
  if (!account) throw new WalletError("NO_ACCOUNT");
  return {
    account: account.address,
    async sign(line) {
      if (account.kind === "own") {
        const key = await unlocked(account);
        return privateKeySigner(key).sign(line).finally(() => key.fill(0));
      }
      try {
        return await (await providerSigner(await providerOf(account), account.address)).sign(line);
      } catch (error) {
        throw foreignFault(error);
      }
    },
  };
}

/** EIP-1193: 4001 is a person's no, 4100 an account that the page may not use. */
function foreignFault(error: unknown): unknown {
  if (error instanceof WalletError || typeof error !== "object" || error === null || !("code" in error)) return error;
  if (error.code === 4001) return new WalletError("CANCELLED", error);
  if (error.code === 4100) return new WalletError("WRONG_WALLET_ACCOUNT", error);
  return typeof error.code === "number" ? new WalletError("WALLET_REFUSED", error) : error;
}
