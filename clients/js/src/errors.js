// The one error of this library: `code` for programs, `message` for people, `details` as the node gave them.

export class StepError extends Error {
  /** @param {string} code @param {string} message @param {Partial<import("../step-client.js").ErrorFacts>} [facts] */
  constructor(code, message, { details = {}, status = null, node = null, attempts = [], proofId = null } = {}) {
    super(`${code}: ${message}`);
    this.name = "StepError";
    this.code = code;
    this.details = details ?? {}; // A node may say null.
    this.status = status;
    this.node = node;
    this.attempts = attempts;
    this.proofId = proofId;
    /** @type {string[]} */
    this.maybeAcceptedBy = [];
  }

  get tryInstead() {
    return this.details.tryInstead ?? null;
  }

  get retryAt() {
    return this.details.retryAt ? new Date(this.details.retryAt) : null;
  }
}
