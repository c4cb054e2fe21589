// What the pages of the explorer are made of: a heading with a link to share, facts, an answer or why there is none.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { explorer } from "../../texts/explorer.ts";
import { shell } from "../../texts/shell.ts";
import { shown } from "../../shell/amounts.ts";
import { CopyButton } from "../../shell/ids.tsx";
import type { Asked } from "../../shell/node.ts";
import { Notice } from "../../shell/notice.tsx";
import { language, say } from "../../shell/texts.ts";

/** `title` is the tab's as well. */
export function Heading({ title, children }: { title: string; children?: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · STEP`;
  }, [title]);
  return (
    <div class="heading">
      <h1>{title}</h1>
      {children}
      <CopyLink />
    </div>
  );
}

function CopyLink() {
  return (
    <span class="copy-link">
      <CopyButton text={location.href} what={say(explorer.copyLink)} label={say(explorer.copyLink)} />
    </span>
  );
}

export function Card({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="card">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

type Fact = readonly [name: string, value: ComponentChildren] | false | null | undefined | "" | 0;

/** Names and values; what is no fact is left out. */
export function Facts({ of }: { of: readonly Fact[] }) {
  return <dl class="facts">{of.map((fact) => (fact ? [<dt>{fact[0]}</dt>, <dd>{fact[1]}</dd>] : null))}</dl>;
}

/** An amount of STEP, exact, with its unit. */
export function Step({ amount }: { amount: string }) {
  return <span class="nowrap">{shown(amount, language())} STEP</span>;
}

const DEGREE_PLACES = 7;

/** A point on Earth to a centimetre, which is what clients are told to round to. */
export function degrees(lat: number, lon: number): string {
  return [lat, lon].map((angle) => Number(angle.toFixed(DEGREE_PLACES))).join(", ");
}

/** What is drawn of an answer; while there is none, that it is asked for, or why there is none. */
export function Answered<T>({ of, children }: { of: Asked<T>; children: (answer: T) => ComponentChildren }) {
  if (of.answer !== undefined) return <>{children(of.answer)}</>;
  if (of.error) return <Notice error={of.error} again={of.again} />;
  return <p role="status">{say(shell.loading)}</p>;
}

/** For an address of a page that names nothing, about which no node need be asked. */
export function Malformed() {
  return <p class="card" role="alert">{say(explorer.malformed)}</p>;
}

export function isId(text: string | undefined): text is string {
  return text !== undefined && /^0x[0-9a-fA-F]{64}$/.test(text);
}

export function isAddress(text: string | undefined): text is string {
  return text !== undefined && /^0x[0-9a-fA-F]{40}$/.test(text);
}
