// What went wrong, whoever says so: a node, a library, or the wallet.
import { StepError } from "step-client/errors.js";
import { walletFaults } from "../texts/wallet-faults.ts";
import { WalletError } from "../wallet/faults.ts";
import { Notice } from "./notice.tsx";
import { say } from "./texts.ts";

export type Told = WalletError | StepError;

/** The error, if it is one that is told to people; anything else is a bug, and thrown on. */
export function told(error: unknown): Told {
  if (error instanceof WalletError || error instanceof StepError) return error;
  throw error;
}

export function Fault({ error, again }: { error: Told; again?: () => void }) {
  if (error instanceof StepError) return <Notice error={error} {...(again ? { again } : {})} />;
  return (
    <div class="card notice" role="alert">
      <p>{say(walletFaults[error.code])}</p>
    </div>
  );
}
