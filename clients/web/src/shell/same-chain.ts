// The app is of one chain, the one that it met first: its keys, receipts and waiting proofs count there. A node of another
// chain (one begun anew, a wrong address among the others) is not asked for anything but what tells it.

export interface Chain {
  chainId: string;
  genesisHash: string;
}

/** A node that is of another chain. */
export interface Stranger {
  node: string;
  chain: Chain;
  known: Chain;
}

/** Where the one chain is kept; what cannot be kept holds for this visit. */
export interface Memory {
  known: () => Promise<Chain | undefined>;
  keep: (chain: Chain) => Promise<void>;
}

export type Fetch = (input: string, init: RequestInit) => Promise<Response>;

const STATUS = "/status";
const JUDGEMENT_MS_MAX = 10_000;

export class SameChain {
  /** Nodes of another chain that were met, in that order. */
  readonly strangers: Stranger[] = [];
  /** Called when another one is met. */
  readonly watchers = new Set<() => void>();
  readonly #nodes: readonly string[];
  readonly #fetch: Fetch;
  readonly #memory: Memory;
  readonly #judged = new Map<string, Promise<void>>();
  #known: Promise<Chain> | undefined;

  constructor(nodes: readonly string[], memory: Memory, fetch: Fetch) {
    this.#nodes = nodes;
    this.#memory = memory;
    this.#fetch = fetch;
  }

  async known(): Promise<Chain | undefined> {
    return this.#known ?? this.#memory.known();
  }

  /** As `fetch`, to be given to the client: rejects with a TypeError, as where there is no network, for a stranger. */
  readonly fetch: Fetch = async (input, init) => {
    const node = this.#nodes.find((url) => input.startsWith(`${url}/`));
    if (node === undefined) return this.#fetch(input, init);
    if (!this.#judged.has(node) && input === node + STATUS) {
      const answer = await this.#fetch(input, init);
      if (answer.ok) await this.#judgeOnce(node, () => answer.clone());
      return answer;
    }
    // Others wait for the same judgement: it does not end with the request that first wanted it.
    await this.#judgeOnce(node, () => this.#fetch(node + STATUS, { signal: AbortSignal.timeout(JUDGEMENT_MS_MAX) }));
    return this.#fetch(input, init);
  };

  async #judgeOnce(node: string, ask: () => Response | Promise<Response>): Promise<void> {
    let judged = this.#judged.get(node);
    if (!judged) {
      judged = this.#judge(node, ask);
      this.#judged.set(node, judged);
      // What gave no answer is asked again the next time; a stranger stays one.
      judged.catch(() => this.strangers.some((stranger) => stranger.node === node) || this.#judged.delete(node));
    }
    return judged;
  }

  async #judge(node: string, ask: () => Response | Promise<Response>): Promise<void> {
    const answer = await ask();
    const chain = answer.ok ? chainOf(await answer.json()) : null;
    // As where there is no network: it may be of another chain, so nothing is asked of it, or sent to it, until it says.
    if (!chain) throw new TypeError(`${node} does not say of which chain it is (status ${answer.status})`);
    const before: Promise<Chain | undefined> = this.#known ?? this.#memory.known();
    this.#known = before.then((first) => first ?? chain);
    const known = await this.#known;
    if (known === chain) {
      await this.#memory.keep(chain);
    } else if (known.genesisHash !== chain.genesisHash) {
      this.strangers.push({ node, chain, known });
      for (const watcher of [...this.watchers]) watcher();
      throw new TypeError(`${node} is of another chain, ${chain.chainId} (${chain.genesisHash})`);
    }
  }
}

function chainOf(status: unknown): Chain | null {
  const { chainId, genesisHash } = (status ?? {}) as Partial<Chain>;
  return typeof chainId === "string" && typeof genesisHash === "string" ? { chainId, genesisHash } : null;
}
