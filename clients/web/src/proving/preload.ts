// What is loaded only when it is wanted elsewhere in the app must be here before the connection is gone: signing, and what
// says why something was refused.
import type { Account } from "../wallet/accounts.ts";

export async function preload(account: Account): Promise<void> {
  const wanted: Promise<unknown>[] = [
    import("../wallet/signing.ts"),
    import("../shell/explained.ts"),
    import("../texts/codes.ts"),
    import("../views/receipt/receipt.tsx"),
  ];
  if (account.kind === "own") wanted.push(import("../shell/unlock-dialog.tsx"));
  // What does not come now is asked for again when it is wanted.
  await Promise.allSettled(wanted);
}
