// Sending STEP (docs/protocol.md §4, `TRANSFER`). A transfer is told apart by its sequence number, so the same body sent
// again does no harm; a second one signed while the first is undecided might be paid as well.
import { hex } from "./bytes.js";
import { StepError } from "./errors.js";
import { CHAIN_ID } from "./parameters.js";
import { digestOf, signLine } from "./proof.js";

/** @type {typeof import("../step-client.js").signTransfer} */
export async function signTransfer(signer, { chainId, sequence, to, amount, memo = "" }) {
  const owner = signer.account.toLowerCase();
  // Both are a node's word: text in their place could make up the fields that follow.
  if (!Number.isSafeInteger(sequence) || sequence < 0) refuse("sequence", "must be a whole number");
  if (typeof chainId !== "string" || !CHAIN_ID.test(chainId)) {
    refuse("chainId", "must be 1 to 63 of a-z 0-9 -, and not begin with -");
  }
  if (!/^0x[0-9a-fA-F]{40}$/.test(to)) refuse("to", "must be 0x and 40 hex digits");
  if (!/^(0|[1-9]\d*)(\.\d{1,6})?$/.test(amount)) refuse("amount", "must be decimal text of STEP, with at most six places");
  const [whole, places = ""] = amount.split(".");
  const amountUstep = BigInt(whole + places.padEnd(6, "0"));
  // A memo stands last: all that follows is memo, so no other field can be made up in it.
  const line =
    `STEP-TRANSFER-v1|chain:${chainId}|owner:${owner}|sequence:${sequence}|to:${to.toLowerCase()}` +
    `|amount_ustep:${amountUstep}|memo:${memo}`;
  const signature = await signLine(signer, line);
  const form = { owner, sequence, to: to.toLowerCase(), amount, memo, signature };
  return { operationId: hex(digestOf(line)), form };
}

/** @param {string} field @param {string} rule @returns {never} */
function refuse(field, rule) {
  throw new StepError("INVALID_OPERATION", `${field}: ${rule}`, { details: { field, rule } });
}
