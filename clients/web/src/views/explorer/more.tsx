// What stands below a listing: the way to its next page, or why that did not come.
import { explorer } from "../../texts/explorer.ts";
import { shell } from "../../texts/shell.ts";
import { Notice } from "../../shell/notice.tsx";
import { say } from "../../shell/texts.ts";
import type { Listing } from "./pages.ts";

export function More({ of, label = say(explorer.more) }: { of: Pick<Listing<unknown>, "error" | "isAsking" | "hasMore" | "more">; label?: string }) {
  if (of.error) return <Notice error={of.error} again={of.more} />;
  // The button stays while its page comes: who pressed it by keyboard is still there.
  if (of.hasMore) return <button type="button" aria-disabled={of.isAsking} onClick={() => of.isAsking || of.more()}>{of.isAsking ? say(shell.loading) : label}</button>;
  return of.isAsking ? <p role="status">{say(shell.loading)}</p> : null;
}
