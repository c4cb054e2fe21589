// What an app does: ask, sign, submit, follow. Submitting is idempotent (docs/clients.md): the same body sent again, to
// whichever node, gives what became of the proof, and is paid once. So nothing is signed anew while a node may have taken
// in what was signed before.
import { StepError } from "./errors.js";
import { locate } from "./mesh.js";
import { isRetryable } from "./nodes.js";
import { checkedPosition } from "./position.js";
import { proofId, signProof } from "./proof.js";
import { StepReader } from "./reader.js";
import { signTransfer } from "./transfers.js";

/** @typedef {import("../step-client.js").SignedProof} SignedProof */
/** @typedef {import("../step-client.js").Outcome} Outcome */

const WAIT_MS = 5_000;
const POLL_MS = 1_000;
const FINAL_MS = 60_000;
const OTHER_TRIANGLES_MAX = 3;
const ELSEWHERE = ["TRIANGLE_EXHAUSTED", "TRIANGLE_NOT_FOUND", "OUT_OF_BOUNDS"];

export class StepClient extends StepReader {
  /** @param {import("../step-client.js").Signer} signer @param {import("../step-client.js").Position} position
   * @param {import("../step-client.js").SignOptions} [options] @returns {Promise<SignedProof>} */
  async sign(signer, position, { level = "active", nonce } = {}) {
    const rules = await this.config();
    const { now } = this.nodes;
    const at = checkedPosition(position, { now: now(), accuracyMax: rules.GPS_MAX_ACCURACY_M });
    const asked = level === "active" ? (await this.activeTriangle(at.lat, at.lon)).level : level;
    // The level is the node's word; which triangle of it holds the point, we know ourselves.
    const triangleId = locate(at.lat, at.lon, asked);
    return signProof(signer, { ...at, timestamp: at.timestamp + this.clockOffsetMs, triangleId, nonce });
  }

  /** One answer of a node that has decided: final, or accepted and waiting.
   * @param {SignedProof} signed @param {{waitMs?: number, signal?: AbortSignal}} [options] @returns {Promise<Outcome>} */
  async submit(signed, { waitMs = WAIT_MS, signal } = {}) {
    const wait = Math.min(waitMs, (await this.config()).WAIT_MS_MAX);
    const path = `/proof/submit?wait_ms=${wait}`;
    const request = { method: "POST", path, body: JSON.stringify(signed), waitMs: wait, signal };
    const id = proofId(signed.payload);
    return outcomeOf(await this.nodes.handIn(request, statusPath(id, 0)), id);
  }

  /** @param {SignedProof} signed @param {{timeoutMs?: number, signal?: AbortSignal}} [options] @returns {Promise<Outcome>} */
  async follow(signed, { timeoutMs = FINAL_MS, signal } = {}) {
    const id = proofId(signed.payload);
    const { now, sleep } = this.nodes;
    const until = now() + timeoutMs;
    let node = "";
    for (;;) {
      const begunAt = now();
      const waitMs = Math.max(0, Math.min(WAIT_MS, until - begunAt));
      // A node that does not know the proof (any more) is no reason to worry: the same body is handed in again.
      const known = node && (await this.nodes.known({ path: statusPath(id, waitMs), at: node, waitMs, signal }));
      const outcome = known ? outcomeOf(known, id) : await this.submit(signed, { waitMs, signal });
      if (outcome.status === "finalised") return outcome;
      node = outcome.node;
      if (now() >= until) {
        throw new StepError("PENDING", `proof ${id} is accepted, but not final within ${timeoutMs} ms; follow it again`, {
          proofId: id,
          node,
        });
      }
      if (now() - begunAt < POLL_MS) await sleep(POLL_MS, signal);
    }
  }

  /** @param {import("../step-client.js").Signer} signer @param {import("../step-client.js").Position} position
   * @param {import("../step-client.js").ProveOptions} [options] */
  async prove(signer, position, { level = "active", onSigned, ...options } = {}) {
    // One moment for all: should two be accepted after all, the second is refused, as no later than the first.
    const at = { ...checkedCopy(position), timestamp: position.timestamp ?? this.nodes.now() };
    let signed = await this.sign(signer, at, { level });
    for (let others = OTHER_TRIANGLES_MAX; ; others -= 1) {
      onSigned?.(signed);
      try {
        return { ...(await this.follow(signed, options)), signed };
      } catch (error) {
        // Others have subdivided the triangle meanwhile: the same visit is signed again where the refusal says.
        if (!(error instanceof StepError) || !ELSEWHERE.includes(error.code)) throw error;
        const instead = error.tryInstead;
        if (!instead || error.maybeAcceptedBy.length > 0 || others === 0) throw error;
        const { lat, lon, accuracy, timestamp } = signed.payload;
        const triangleId = locate(lat, lon, instead.level);
        signed = await signProof(signer, { lat, lon, accuracy, timestamp: Date.parse(timestamp), triangleId });
      }
    }
  }

  /** @param {SignedProof[]} proofs @param {{timeoutMs?: number, signal?: AbortSignal}} [options] */
  async submitMany(proofs, { timeoutMs = FINAL_MS, signal } = {}) {
    const rules = await this.config();
    const { now, sleep } = this.nodes;
    const until = now() + timeoutMs;
    const bodies = proofs.map((signed) => JSON.stringify(signed));
    /** @type {any[]} */
    const outcomes = [];
    for (const share of shares(bodies, rules.BATCH_BODY_BYTES_MAX, rules.BATCH_SUBMISSIONS_MAX)) {
      for (let left = share, pauses = 0; left.length > 0; ) {
        const begunAt = now();
        const waitMs = Math.max(0, Math.min(WAIT_MS, rules.WAIT_MS_MAX, until - begunAt));
        const body = `[${left.map((index) => bodies[index]).join()}]`;
        const path = `/proof/submit-batch?wait_ms=${waitMs}`;
        const { node, document } = await this.nodes.ask({ method: "POST", path, body, waitMs, signal });
        if (document.outcomes?.length !== left.length) {
          throw new StepError("UNREADABLE_ANSWER", `${node}: the answer has not one outcome for each submission`, { node });
        }
        left.forEach((index, place) => (outcomes[index] = { ...document.outcomes[place], node }));
        const again = (/** @type {number} */ index) => outcomes[index].status === "refused" && isRetryable(outcomes[index]);
        const isRefused = left.some(again);
        left = left.filter((index) => outcomes[index].status === "pending" || again(index));
        if (now() >= until) break;
        if (left.length === 0) continue;
        if (isRefused) await sleep(this.nodes.pauseMs(pauses++), signal);
        else if (now() - begunAt < POLL_MS) await sleep(POLL_MS, signal);
      }
    }
    return outcomes;
  }

  /** @param {import("../step-client.js").Signer} signer @param {{to: string, amount: string, memo?: string}} transfer */
  async signTransfer(signer, transfer) {
    const { CHAIN_ID: chainId } = await this.config();
    const { nextSequence: sequence } = await this.account(signer.account);
    return signTransfer(signer, { ...transfer, chainId, sequence });
  }

  /** @param {import("../step-client.js").SignedTransfer} signed @param {{timeoutMs?: number, signal?: AbortSignal}} [options] */
  async sendTransfer({ operationId: id, form }, { timeoutMs = FINAL_MS, signal } = {}) {
    const { now, sleep } = this.nodes;
    const until = now() + timeoutMs;
    const path = `/operation/${id}`;
    const request = { method: "POST", path: "/account/transfer", body: JSON.stringify(form), signal };
    let answer = await this.nodes.handIn(request, path);
    while (answer.document.status === "pending") {
      if (now() >= until) {
        throw new StepError("PENDING", `transfer ${id} waits, and is not applied within ${timeoutMs} ms; send the same again`);
      }
      await sleep(POLL_MS, signal);
      // A node that does not know it (any more) is given the same body again.
      answer = await this.nodes.ask({ path, signal }).catch((error) => {
        if (error.status === 404) return this.nodes.handIn(request, path);
        throw error;
      });
    }
    const { status, code, message, details } = answer.document;
    if (status === "dropped") throw new StepError(code, message, { details, node: answer.node });
    return { ...answer.document, node: answer.node };
  }
}

/** @param {string} id @param {number} waitMs */
const statusPath = (id, waitMs) => `/proof/status/${id}?wait_ms=${waitMs}`;

/** @param {{node: string, document: any}} answer @param {string} id @returns {Outcome} */
function outcomeOf({ node, document }, id) {
  if (document.proofId !== id) {
    throw new StepError("UNREADABLE_ANSWER", `${node}: the answer is about another proof than the one that was sent`, { node });
  }
  if (document.status === "dropped") {
    const { code, message, details, proofId } = document;
    throw new StepError(code, message, { details, node, proofId });
  }
  return { status: "finalised", ...document, node };
}

/** The places of the bodies, in as few requests as the node's limits allow.
 * @param {string[]} bodies @param {number} bytesMax @param {number} countMax */
function shares(bodies, bytesMax, countMax) {
  /** @type {number[][]} */
  const made = [];
  let bytes = bytesMax;
  bodies.forEach((body, index) => {
    if (bytes + body.length + 1 > bytesMax || made[made.length - 1].length >= countMax) {
      made.push([]);
      bytes = 2;
    }
    made[made.length - 1].push(index);
    bytes += body.length + 1;
  });
  return made;
}

/** A GeolocationPosition has getters on its prototype, which a spread would lose.
 * @param {import("../step-client.js").Position} position */
function checkedCopy({ lat, lon, accuracy, coords }) {
  return { lat, lon, accuracy, coords };
}
