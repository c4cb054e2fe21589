// The accounts of this device: a list that is kept, one of which is current. What signs is asked for with `signer()`; keys
// are never here in clear, only sealed (`sealing.ts`), or not at all, if another wallet has them.
import { useEffect, useState } from "preact/hooks";
import type { Signer } from "step-client";
import { change, kept } from "../shell/keeping.ts";
import { WalletError } from "./faults.ts";
import type { Seal } from "./sealing.ts";

interface Common {
  /** 0x and 40 hex digits in lower case. */
  address: string;
  /** What the person calls it. */
  name: string;
  addedAtMs: number;
}

/** A key that was made in this browser, or brought into it. */
export interface OwnAccount extends Common {
  kind: "own";
  seal: Seal;
  /** Whether the person has shown that it is written down elsewhere. */
  isBackedUp: boolean;
}

/** A key that another wallet has: an extension of the browser (by its name in EIP-6963), or one that the operator's adapter
 *  speaks with. */
export interface ForeignAccount extends Common {
  kind: "injected" | "adapter";
  wallet: string;
}

export type Account = OwnAccount | ForeignAccount;

interface Kept {
  accounts: readonly Account[];
  current: string | null;
}

/** More than a person tells apart in a list; the next is refused (TOO_MANY_ACCOUNTS). */
export const ACCOUNTS_MAX = 32;

const KEPT_AS = "wallet.accounts";
const NONE: Kept = { accounts: [], current: null };

let known: Kept | undefined;
let loading: Promise<Kept> | undefined;
const watchers = new Set<() => void>();
const otherTabs = new BroadcastChannel(KEPT_AS);
otherTabs.onmessage = () => void load();

/** The address of the current account; null if there is none, or before `accountsLoaded`. */
export function currentAccount(): string | null {
  return known?.current ?? null;
}

/** Once this holds, what was kept is known. */
export async function accountsLoaded(): Promise<readonly Account[]> {
  return (known ?? (await (loading ??= load()))).accounts;
}

/** The account of an address, if this device has it. */
export function accountOf(address: string | null): Account | null {
  return known?.accounts.find((account) => account.address === address) ?? null;
}

/** The current account: null if there is none, undefined before that is known. Draws anew when it changes. */
export function useAccount(): Account | null | undefined {
  const accounts = useAccounts();
  return accounts === undefined ? undefined : accountOf(currentAccount());
}

/** Calls `hear` with the addresses of this device whenever these change, in whichever tab. */
export function followAddresses(hear: (addresses: readonly string[]) => void): void {
  watchers.add(() => hear(known?.accounts.map(({ address }) => address) ?? []));
}

/** All of them, in the order in which they were added. */
export function useAccounts(): readonly Account[] | undefined {
  const [, drawAnew] = useState(0);
  useEffect(() => {
    const changed = () => drawAnew((times) => times + 1);
    watchers.add(changed);
    if (!known) void accountsLoaded().then(changed);
    return () => void watchers.delete(changed);
  }, []);
  return known?.accounts;
}

/** Who signs for the current account. Its key is asked for (an unlock dialog) when it is to sign, unless it is unlocked. */
export async function signer(): Promise<Signer> {
  await accountsLoaded();
  const { signerOf } = await import("./signing.ts");
  return signerOf(accountOf(currentAccount()));
}

/** Adds an account, or replaces the one of the same address, and makes it current. A key that is sealed here is not thrown
 *  away because another wallet has it, too: nobody has been asked about that. */
export async function addAccount(account: Account): Promise<void> {
  await changeKept(({ accounts }) => {
    const before = accounts.find(({ address }) => address === account.address);
    if (before?.kind === "own" && account.kind !== "own") return { accounts, current: account.address };
    const others = accounts.filter((other) => other !== before);
    if (others.length >= ACCOUNTS_MAX) throw new WalletError("TOO_MANY_ACCOUNTS");
    return { accounts: [...others, account], current: account.address };
  });
}

export async function chooseAccount(address: string): Promise<void> {
  await changeKept(({ accounts, current }) => ({
    accounts,
    current: accounts.some((account) => account.address === address) ? address : current,
  }));
}

/** Changes something of an account as it is kept now, which another tab may have changed; nothing if it is not there. */
export async function changeAccount(address: string, to: Partial<Pick<OwnAccount, "name" | "isBackedUp">>): Promise<void> {
  await changeKept(({ accounts, current }) => ({
    accounts: accounts.map((account) => (account.address === address ? { ...account, ...to } : account)),
    current,
  }));
}

/** Removes an account and its key from this device. */
export async function removeAccount(address: string): Promise<void> {
  await changeKept(({ accounts, current }) => {
    const left = accounts.filter((account) => account.address !== address);
    return { accounts: left, current: current === address ? (left.at(-1)?.address ?? null) : current };
  });
}

async function changeKept(to: (before: Kept) => Kept): Promise<void> {
  try {
    take(await change<Kept>(KEPT_AS, (before) => to(before ?? NONE)));
  } catch (error) {
    throw error instanceof DOMException ? new WalletError("NOT_KEPT", error) : error;
  }
  otherTabs.postMessage(null);
}

async function load(): Promise<Kept> {
  const loaded = await kept<Kept>(KEPT_AS).catch((error: unknown) => {
    // A browser that keeps nothing has no accounts; adding one says so.
    if (error instanceof DOMException) return undefined;
    throw error;
  });
  return take(loaded ?? NONE);
}

function take(now: Kept): Kept {
  known = now;
  for (const changed of watchers) changed();
  return now;
}
