// One request until some node has decided it: which node to ask, what its answer means, when to ask again
// (docs/clients.md, "Submitting again, and when"; the same rules as those of step_node.client).
//
// - No answer (refused, broken, too slow, not JSON): the next node at once; once all were asked, after a pause.
// - A refusal that may be sent again: 429 is about who asks, so the same node is asked again when it says; any other goes
//   to the next node, and rests this one that long.
// - Anything else is decided. The same request is not sent again.
// - Pauses double, less up to a half by chance, and are at least what the node asked for. Attempts and time are bounded.
import { CODES } from "./codes.js";
import { StepError } from "./errors.js";

const RETRY_AFTER_MS_MAX = 3_600_000;

/** @type {import("../step-client.js").RetryPolicy} */
const POLICY = { attemptsMax: 10, totalMs: 120_000, pauseMinMs: 500, pauseMaxMs: 30_000, answerMs: 10_000 };

export class Nodes {
  #preferred = 0;
  /** @type {number[]} */
  #restsUntil;

  /** @param {string | string[]} urls @param {Partial<import("../step-client.js").ClientOptions>} options */
  constructor(urls, options) {
    this.urls = [urls].flat().map((url) => url.replace(/\/+$/, ""));
    if (this.urls.length === 0) throw new RangeError("nodes: name at least one, such as http://127.0.0.1:8600");
    this.policy = { ...POLICY, ...options.retry };
    this.fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.now = options.now ?? Date.now;
    this.chance = options.chance ?? Math.random;
    this.sleep = options.sleep ?? sleep;
    this.#restsUntil = this.urls.map(() => 0);
  }

  /** @param {number} pauses */
  pauseMs(pauses) {
    const full = Math.min(this.policy.pauseMaxMs, this.policy.pauseMinMs * 2 ** Math.min(pauses, 32));
    return full * (1 - this.chance() / 2);
  }

  /** Which node to ask, and how long it still rests. */
  choose() {
    const rest = (/** @type {number} */ index) => Math.max(0, this.#restsUntil[index] - this.now());
    const order = this.urls.map((_, offset) => (this.#preferred + offset) % this.urls.length);
    const index = order.reduce((best, other) => (rest(other) < rest(best) ? other : best));
    return { index, restMs: rest(index) };
  }

  /** Ask others for so long. @param {number} index @param {number} ms */
  rest(index, ms) {
    this.#restsUntil[index] = this.now() + ms;
  }

  /** Stay with this one. @param {number} index */
  prefer(index) {
    this.#preferred = index;
  }

  /** Send until a node has decided; `at` is the one node to ask. Nodes that may have taken it in are added to `unsure`.
   * @param {import("./nodes.js").Request} request
   * @returns {Promise<import("./nodes.js").Answer>} */
  async ask(request) {
    const { signal, at, unsure, attemptsMax = this.policy.attemptsMax } = request;
    const startedAt = this.now();
    const late = (/** @type {number} */ ms) => this.now() + ms - startedAt > this.policy.totalMs;
    /** @type {StepError[]} */
    const attempts = [];
    for (let pauses = 0; ; ) {
      const choice = at === undefined ? this.choose() : { index: this.urls.indexOf(at), restMs: 0 };
      if (choice.restMs > 0) {
        if (late(choice.restMs)) throw undecided(request, attempts);
        await this.sleep(choice.restMs, signal);
      }
      const node = this.urls[choice.index];
      const outcome = await this.#attempt(node, request);
      if (!(outcome instanceof Undecided)) {
        if (at === undefined) this.prefer(choice.index);
        return outcome;
      }
      const { error, afterMs } = outcome;
      attempts.push(error);
      if (error.status !== 429 && error.status !== 503) unsure?.add(node); // Those two say that nothing was taken in.
      if (attempts.length >= attemptsMax) throw undecided(request, attempts);
      const delayMs = Math.max(afterMs, this.pauseMs(pauses));
      const isSameAgain = at !== undefined || error.status === 429;
      if (late(delayMs) && (at !== undefined || attempts.length >= this.urls.length)) throw undecided(request, attempts);
      if (isSameAgain && !late(delayMs)) {
        pauses += 1;
        await this.sleep(delayMs, signal);
      } else {
        this.rest(choice.index, delayMs);
        if (attempts.length % this.urls.length === 0) pauses += 1;
      }
    }
  }

  /** Send what is signed until a node has decided. One may refuse what another has taken in before (it broke off, say):
   * those are asked at `statusPath` what became of it, and the refusal names them where they do not know it.
   * @param {import("./nodes.js").Request} request @param {string} statusPath
   * @returns {Promise<import("./nodes.js").Answer>} */
  async handIn(request, statusPath) {
    const unsure = /** @type {Set<string>} */ (new Set());
    try {
      return await this.ask({ ...request, unsure });
    } catch (error) {
      if (!(error instanceof StepError) || error.attempts.length > 0 || error.code === "NO_ANSWER") throw error;
      unsure.delete(error.node ?? "");
      for (const at of unsure) {
        const answer = await this.known({ path: statusPath, at, signal: request.signal });
        if (answer) return answer;
      }
      error.maybeAcceptedBy = [...unsure];
      throw error;
    }
  }

  /** What the one node `at` answers, asked a single time; null if it knows nothing of it, or does not answer.
   * @param {import("./nodes.js").Request & {at: string}} request
   * @returns {Promise<import("./nodes.js").Answer | null>} */
  async known(request) {
    try {
      return await this.ask({ ...request, attemptsMax: 1 });
    } catch (error) {
      if (error instanceof StepError && (error.status === 404 || error.attempts.length > 0)) return null;
      throw error;
    }
  }

  /** @param {string} node @param {import("./nodes.js").Request} request */
  async #attempt(node, { method = "GET", path, body, waitMs = 0, signal }) {
    const link = linked(signal);
    const timer = setTimeout(link.abort, this.policy.answerMs + waitMs);
    try {
      const headers = body === undefined ? undefined : { "content-type": "application/json" };
      const response = await this.fetch(node + path, { method, body, headers, signal: link.signal });
      const text = await response.text();
      return judge(node, response, parsed(text), text);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof StepError) throw error; // Refused for good.
      return new Undecided(new StepError("NO_ANSWER", String(error), { node }), 0);
    } finally {
      clearTimeout(timer);
      link.unlink();
    }
  }
}

export class Undecided {
  /** @param {StepError} error @param {number} afterMs */
  constructor(error, afterMs) {
    this.error = error;
    this.afterMs = afterMs;
  }
}

/** What an answer is: a success, undecided, or thrown as a refusal for good.
 * @param {string} node @param {Response} response @param {any} document @param {string} text */
export function judge(node, response, document, text) {
  const { ok, status } = response;
  if (ok && typeof document === "object" && document !== null) return { node, status, document, text };
  const { code, message, details } = document ?? {}; // Undefined where it is not JSON.
  if (typeof code !== "string") {
    return new Undecided(new StepError("NO_ANSWER", `${node} is not a STEP node (status ${status})`, { node, status }), 0);
  }
  const error = new StepError(code, String(message), { details, node, status });
  if (!isRetryable(error)) throw error;
  // `retryAt` is by the node's clock, and so is the answer's own timestamp.
  const byDetails = Date.parse(details?.retryAt) - Date.parse(document.timestamp) || 0;
  const byHeader = Number(response.headers.get("retry-after")) * 1000 || 0;
  return new Undecided(error, Math.min(RETRY_AFTER_MS_MAX, Math.max(0, byDetails, byHeader)));
}

/** Whether the same body may be accepted later: as the details say, or else the table of codes.
 * @param {{code: string, details?: import("../step-client.js").Details}} refusal */
export function isRetryable({ code, details }) {
  return details?.retryable ?? CODES[code]?.retryable ?? false;
}

/** @param {import("./nodes.js").Request} request @param {StepError[]} attempts */
function undecided({ method = "GET", path }, attempts) {
  const last = attempts.at(-1);
  const said = last ? `the last, ${last.node}, said: ${last.message}` : "all of them rest";
  const facts = { attempts, details: last?.details, status: last?.status, node: last?.node };
  return new StepError(last?.code ?? "NO_ANSWER", `${method} ${path}: no node has decided; ${said}`, facts);
}

/** JSON, or undefined where it is none. @param {string} text */
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A signal of one's own that is aborted with the caller's as well. (AbortSignal.any is not in Node 18.)
 * @param {AbortSignal} [signal] */
export function linked(signal) {
  signal?.throwIfAborted();
  const control = new AbortController();
  const abort = () => control.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  return { signal: control.signal, abort, unlink: () => signal?.removeEventListener("abort", abort) };
}

/** @type {(ms: number, signal?: AbortSignal) => Promise<void>} */
function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** @typedef {{path: string, method?: string, body?: string, waitMs?: number, signal?: AbortSignal, at?: string,
 *   unsure?: Set<string>, attemptsMax?: number}} Request */
/** @typedef {{node: string, status: number, document: any, text: string}} Answer */
