// The wallet: what the current account has and has done, sending, and the accounts of this device.
import type { ComponentType } from "preact";
import { lazy } from "../../shell/lazy.tsx";
import type { Place } from "../../shell/router.ts";
import { useAccount } from "../../wallet/accounts.ts";
import { Overview } from "./overview.tsx";
import { Welcome } from "./welcome.tsx";

/** By the second part of the address. What makes, takes in and shows keys comes when somebody goes there. */
const PARTS: Readonly<Record<string, ComponentType>> = {
  add: Welcome,
  new: lazy(() => import("./new-key.tsx")),
  words: lazy(() => import("./import-words.tsx")),
  file: lazy(() => import("./import-file.tsx")),
  connect: lazy(() => import("./connect.tsx")),
  backup: lazy(() => import("./backup.tsx")),
  accounts: lazy(() => import("./accounts.tsx")),
  send: lazy(() => import("./send.tsx")),
};

export default function Wallet({ place }: { place: Place }) {
  const account = useAccount();
  if (account === undefined) return null; // For some milliseconds.
  const Part = PARTS[place.parts[1] ?? ""];
  if (Part) return <Part />;
  return account ? <Overview key={account.address} account={account} /> : <Welcome />;
}
