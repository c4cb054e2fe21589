// step-client: see README.md, and step-client.d.ts for what each of these takes, gives and throws.
export { CODES } from "./codes.js";
export { StepClient } from "./client.js";
export { StepError } from "./errors.js";
export { centroid, locate, polygon, unitVector, vertices } from "./mesh.js";
export { checkedPosition } from "./position.js";
export { privateKeySigner, PROOF_VERSION, proofId, proofLine, providerSigner, recoverAccount, signProof } from "./proof.js";
export { StepReader } from "./reader.js";
export { genesisHash, receiptForms, verifyReceipt } from "./receipts.js";
export { signTransfer } from "./transfers.js";
export { children, LEVEL_MAX, parent, parseTriangle, triangleInteger, triangleOfInteger, triangleText } from "./triangle.js";
