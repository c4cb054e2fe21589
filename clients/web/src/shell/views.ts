// The pages of the app, each loaded when somebody first goes there. The first part of an address names its page.
import type { ComponentType } from "preact";
import { shell } from "../texts/shell.ts";
import type { Place } from "./router.ts";
import { withStyles } from "./styles.ts";
import type { Text } from "./texts.ts";

export type View = ComponentType<{ place: Place }>;

export interface Page {
  title: Text;
  load: () => Promise<{ default: View }>;
  /** Whether going from one of its addresses to another is no step to somewhere else. */
  isOnePlace?: boolean;
}

/** What the bar shows, in its order. */
export const IN_THE_BAR = ["", "prove", "wallet", "explorer", "node"] as const;

const globe = () => import("../views/globe/globe.tsx");
const explorer = withStyles(() => import("../views/explorer/explorer.tsx"));

export const PAGES: Readonly<Record<string, Page>> = {
  "": { title: shell.globe, load: globe, isOnePlace: true },
  map: { title: shell.globe, load: globe, isOnePlace: true },
  prove: { title: shell.prove, load: withStyles(() => import("../views/prove/prove.tsx")) },
  wallet: { title: shell.wallet, load: withStyles(() => import("../views/wallet/wallet.tsx")) },
  receipt: { title: shell.receipt, load: withStyles(() => import("../views/receipt/receipt.tsx")) },
  explorer: { title: shell.explorer, load: explorer },
  batch: { title: shell.explorer, load: explorer },
  proof: { title: shell.explorer, load: explorer },
  operation: { title: shell.explorer, load: explorer },
  account: { title: shell.explorer, load: explorer },
  triangle: { title: shell.explorer, load: explorer },
  validators: { title: shell.explorer, load: explorer },
  validator: { title: shell.explorer, load: explorer },
  search: { title: shell.explorer, load: explorer },
  fairness: { title: shell.explorer, load: explorer },
  node: { title: shell.node, load: withStyles(() => import("../views/node/node.tsx")) },
  guardrails: { title: shell.node, load: withStyles(() => import("../views/guardrails/guardrails.tsx")) },
};
