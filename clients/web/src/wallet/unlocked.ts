// Keys that are unlocked: in memory alone, and overwritten when the wallet locks, which it does some minutes after the last
// use, and sooner when the page is out of sight.
import { useEffect, useState } from "preact/hooks";
import { followAddresses, type OwnAccount } from "./accounts.ts";
import { askToUnlock } from "./asking.ts";
import { type Bytes, randomBytes } from "./sealing.ts";
import { keyOf } from "./secret.ts";

export const LOCK_AFTER_MS = 10 * 60_000;
export const LOCK_HIDDEN_AFTER_MS = 60_000;

interface Unlocked {
  key: Bytes;
  usedAtMs: number;
}

const keys = new Map<string, Unlocked>();
const asked = new Map<string, Promise<void>>();
const watchers = new Set<() => void>();
let hiddenSinceMs: number | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

/** The key of an account, a copy that whoever signs may overwrite. Throws WalletError (CANCELLED). */
export async function unlocked(account: OwnAccount): Promise<Bytes> {
  const { address } = account;
  lockWhatIsDue();
  if (!keys.has(address)) {
    // Two that want the same key at once ask once.
    const asking = asked.get(address) ?? askToUnlock(account, "signing").then((secret) => unlock(address, secret));
    asked.set(address, asking);
    await asking.finally(() => asked.delete(address));
  }
  const found = keys.get(address);
  if (!found) return unlocked(account); // Locked again meanwhile.
  found.usedAtMs = Date.now();
  plan();
  return found.key.slice();
}

/** From now on an account signs without asking. The secret is overwritten. */
export function unlock(address: string, secret: Bytes): void {
  keys.set(address, { key: keyOf(secret), usedAtMs: Date.now() });
  secret.fill(0);
  plan();
  tell();
}

/** Overwrites the key of one account, or all. */
export function lock(address?: string): void {
  for (const [of, { key }] of [...keys]) {
    if (address !== undefined && of !== address) continue;
    key.set(randomBytes(key.length));
    keys.delete(of);
  }
  tell();
}

/** Whether an account would sign without asking; draws anew when that changes. */
export function useIsUnlocked(address: string): boolean {
  const [, drawAnew] = useState(0);
  useEffect(() => {
    const changed = () => drawAnew((times) => times + 1);
    watchers.add(changed);
    return () => void watchers.delete(changed);
  }, []);
  return keys.has(address);
}

/** When a key that was used last at `usedAtMs` is locked, in a page that is hidden since then, or not (null). */
export function lockAtMs(usedAtMs: number, hiddenSince: number | null): number {
  const idle = usedAtMs + LOCK_AFTER_MS;
  return hiddenSince === null ? idle : Math.min(idle, hiddenSince + LOCK_HIDDEN_AFTER_MS);
}

// One that was removed, also in another tab, signs nothing more; and if it comes back, it is locked.
followAddresses((addresses) => {
  for (const address of [...keys.keys()]) if (!addresses.includes(address)) lock(address);
});

function lockWhatIsDue(): void {
  const now = Date.now();
  for (const [address, { usedAtMs }] of [...keys]) {
    if (lockAtMs(usedAtMs, hiddenSinceMs) <= now) lock(address);
  }
  plan();
}

// Timers of hidden pages are late, and those of a sleeping phone stand still: what is due is looked at again whenever the
// page is seen or a key is wanted.
function plan(): void {
  clearTimeout(timer);
  const next = Math.min(...[...keys.values()].map(({ usedAtMs }) => lockAtMs(usedAtMs, hiddenSinceMs)));
  if (Number.isFinite(next)) timer = setTimeout(lockWhatIsDue, Math.max(0, next - Date.now()));
}

function tell(): void {
  for (const changed of watchers) changed();
}

if (typeof document !== "undefined") {
  document.addEventListener("visibilitychange", () => {
    // Before it is forgotten that the page was hidden: it may have been so for hours.
    lockWhatIsDue();
    hiddenSinceMs = document.hidden ? Date.now() : null;
    plan();
  });
  addEventListener("pagehide", () => lock());
}
