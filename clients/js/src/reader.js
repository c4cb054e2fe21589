// What an app that only looks does: ask, and follow the feed. Nothing here signs, so that a page which shows things needs
// no arithmetic of keys.
import { eventStream } from "./events.js";
import { Nodes } from "./nodes.js";

const CLOCK_TOLERANCE_MS = 2_000;

export class StepReader {
  /** For what builds on it in this library. @protected */
  nodes;
  /** @type {Promise<any> | undefined} */
  #config;

  /** @param {string | string[]} nodes @param {Partial<import("../step-client.js").ClientOptions>} [options] */
  constructor(nodes, options = {}) {
    this.nodes = new Nodes(nodes, options);
    this.clockOffsetMs = 0;
  }

  /** @param {string} path @param {import("../step-client.js").Query} [query] @param {{signal?: AbortSignal}} [options] */
  async get(path, query = {}, { signal } = {}) {
    return (await this.nodes.ask({ path: path + queryText(query), signal })).document;
  }

  // Asked for once; the difference of the clocks is measured by the middle of that request.
  config() {
    const ask = async () => {
      const sentAt = this.nodes.now();
      const rules = await this.get("/proof/config");
      const offsetMs = Date.parse(rules.timestamp) - Math.round((sentAt + this.nodes.now()) / 2);
      this.clockOffsetMs = Math.abs(offsetMs) > CLOCK_TOLERANCE_MS ? offsetMs : 0;
      return rules;
    };
    this.#config ??= ask().catch((error) => {
      this.#config = undefined;
      throw error;
    });
    return this.#config;
  }

  /** @param {string} path @param {import("../step-client.js").Query} [query] @param {{signal?: AbortSignal}} [options] */
  async mesh(path, query, options) {
    return (await this.get(`/mesh/${path}`, query, options)).result;
  }

  /** @param {number} lat @param {number} lon @param {{signal?: AbortSignal}} [options] */
  activeTriangle(lat, lon, options) {
    return this.mesh("triangleAt", { lat, lon, level: "active" }, options);
  }

  /** @param {string} address */
  account(address) {
    return this.get(`/account/${segment(address)}`);
  }

  /** @param {string} address @param {import("../step-client.js").Query} [query] */
  proofs(address, query) {
    return this.get(`/account/${segment(address)}/proofs`, query);
  }

  /** @param {string} triangleId */
  triangle(triangleId) {
    return this.get(`/triangle/${segment(triangleId)}`);
  }

  /** @param {string} id */
  async receipt(id) {
    return (await this.nodes.ask({ path: `/proof/${segment(id)}/receipt` })).text;
  }

  /** @param {import("../step-client.js").EventFilters} [filters] @param {{lastEventId?: string, signal?: AbortSignal}} [options] */
  events(filters = {}, options = {}) {
    return eventStream(this.nodes, `/events${queryText(filters)}`, options);
  }
}

/** Lists are written with commas. @param {import("../step-client.js").Query} query */
function queryText(query) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) parameters.append(name, [value].flat().map(plain).join());
  }
  const text = parameters.toString();
  return text && `?${text}`;
}

/** Numbers in plain digits: String() of a small one has an exponent. @param {string | number | boolean} value */
function plain(value) {
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(10).replace(/0+$/, "") : String(value);
}

/** What a caller hands in stays within its segment of the path. @param {string} text */
function segment(text) {
  return encodeURIComponent(text);
}
