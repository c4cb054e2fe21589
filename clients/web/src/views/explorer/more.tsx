// What stands below a listing: the way to its next page, or why that did not come.
import { explorer } from "../../texts/explorer.ts";
import { shell } from "../../texts/shell.ts";
import { Notice } from "../../shell/notice.tsx";
import { say } from "../../shell/texts.ts";
import type { Listing } from "./pages.ts";

export function More<P>({ of }: { of: Listing<P> }) {
  if (of.error) return <Notice error={of.error} again={of.more} />;
  if (of.isAsking) return <p role="status">{say(shell.loading)}</p>;
  return of.hasMore ? <button type="button" onClick={of.more}>{say(explorer.more)}</button> : null;
}
