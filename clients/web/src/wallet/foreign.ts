// Wallets that are not ours: those that extensions inject, found as EIP-6963 says, and the one that an operator's adapter
// file speaks with (docs/web-app.md; WalletConnect, say).
import type { Provider } from "step-client";
import type { ForeignAccount } from "./accounts.ts";
import { WalletError } from "./faults.ts";

export interface FoundWallet {
  /** Stays the same from visit to visit: the reverse domain name in EIP-6963. */
  id: string;
  name: string;
  /** A data URL, or null: the app loads nothing from elsewhere. */
  icon: string | null;
  provider: Provider;
}

const NAME_CHARACTERS_MAX = 40;
const ICON_CHARACTERS_MAX = 200_000;
/** Extensions answer at once; more than so many are not listed. */
const WALLETS_MAX = 20;
const ANSWER_MS = 300;

const found = new Map<string, FoundWallet>();
const watchers = new Set<() => void>();
let listens = false;

/** Calls `changed` whenever another wallet announces itself, until the returned function is called. */
export function watchWallets(changed: () => void): () => void {
  watchers.add(changed);
  listen();
  return () => void watchers.delete(changed);
}

export function foundWallets(): readonly FoundWallet[] {
  return [...found.values()];
}

/** Asks the wallet for its account: it asks the person. In lower case. */
export async function connect(wallet: FoundWallet): Promise<string> {
  const answer: unknown = await wallet.provider.request({ method: "eth_requestAccounts" });
  const [first] = Array.isArray(answer) ? (answer as unknown[]) : [];
  if (typeof first !== "string" || !/^0x[0-9a-fA-F]{40}$/.test(first)) throw new WalletError("WRONG_WALLET_ACCOUNT");
  return first.toLowerCase();
}

/** What an account of another wallet is spoken with by. Throws WalletError (WALLET_GONE). */
export async function providerOf(account: ForeignAccount): Promise<Provider> {
  if (account.kind === "adapter") return (await adapterWallet()).provider;
  listen();
  for (const until = Date.now() + ANSWER_MS; !found.has(account.wallet) && Date.now() < until; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const wallet = found.get(account.wallet);
  if (!wallet) throw new WalletError("WALLET_GONE");
  return wallet.provider;
}

let adapter: Promise<FoundWallet> | undefined;

/** By a variable, so that the bundler leaves it alone: the file is the operator's. */
function adapterAddress(): string {
  return new URL("wallet-adapter.js", document.baseURI).href;
}

/** Whether the operator of this node has added an adapter. */
export async function hasAdapter(): Promise<boolean> {
  try {
    return (await fetch(adapterAddress())).ok;
  } catch (error) {
    if (error instanceof TypeError) return false; // Offline.
    throw error;
  }
}

/** The wallet of the operator's adapter: a module whose `connect()` gives a name and an EIP-1193 provider. */
export function adapterWallet(): Promise<FoundWallet> {
  adapter ??= loadAdapter().catch((error: unknown) => {
    adapter = undefined;
    throw error instanceof WalletError ? error : new WalletError("ADAPTER_BROKEN", error);
  });
  return adapter;
}

async function loadAdapter(): Promise<FoundWallet> {
  const module: unknown = await import(adapterAddress());
  const connectsBy = (module as { connect?: unknown }).connect;
  if (typeof connectsBy !== "function") throw new WalletError("ADAPTER_BROKEN");
  const given: unknown = await connectsBy();
  const wallet = checked({ ...(given as object), id: "adapter" });
  if (!wallet) throw new WalletError("ADAPTER_BROKEN");
  return wallet;
}

function listen(): void {
  if (!listens) {
    listens = true;
    addEventListener("eip6963:announceProvider", (event) => {
      const { info, provider } = ((event as CustomEvent<unknown>).detail ?? {}) as { info?: unknown; provider?: unknown };
      const { rdns, name, icon } = (info ?? {}) as Record<string, unknown>;
      const wallet = checked({ id: rdns, name, icon, provider });
      if (!wallet || found.has(wallet.id) || found.size >= WALLETS_MAX) return;
      found.set(wallet.id, wallet);
      for (const changed of watchers) changed();
    });
  }
  dispatchEvent(new Event("eip6963:requestProvider"));
}

/** What another program tells of itself, as far as it can be believed; null if that is no wallet. */
export function checked(told: object): FoundWallet | null {
  const { id, name, icon, provider } = told as Record<string, unknown>;
  if (typeof id !== "string" || !/^[\w.-]{1,100}$/.test(id)) return null;
  if (typeof name !== "string" || name.trim() === "") return null;
  if (typeof (provider as { request?: unknown } | null | undefined)?.request !== "function") return null;
  const isIcon = typeof icon === "string" && icon.length <= ICON_CHARACTERS_MAX && icon.startsWith("data:image/");
  return { id, name: name.trim().slice(0, NAME_CHARACTERS_MAX), icon: isIcon ? icon : null, provider: provider as Provider };
}
