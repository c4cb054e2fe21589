// What the node that serves this page checks after every batch, and how that stands (docs/guardrails.md). Only that node is
// asked: another one's guardrails would be about that one.
import { Notice } from "../../shell/notice.tsx";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { written } from "../../shell/numbers.ts";
import { When } from "../../shell/when.tsx";
import { drifts, guardrails as texts, ledgers, type GuardrailText } from "../../texts/guardrails.ts";
import { shell } from "../../texts/shell.ts";
import type { Status } from "../node/answers.ts";
import { Facts } from "../explorer/parts.tsx";
import { useHere } from "../node/here.ts";
import { Silent } from "../node/silent.tsx";
import { figure, reached, type Guardrail, type Guardrails } from "./readings.ts";

const ASK_MS = 5_000;
const KNOWN = { ...ledgers, ...drifts };

export default function GuardrailsPage() {
  const asked = useHere<Guardrails>("/guardrails", ASK_MS);
  const { answer: status } = useHere<Status>("/status", ASK_MS);
  const { answer, refused, isSilent } = asked;
  // What was known before the operator turned them off says nothing of now.
  const known = refused?.code === "SWITCHED_OFF" ? undefined : answer;
  return (
    <div class="operators guardrails">
      <div class="heading">
        <h1>{say(texts.title)}</h1>
        <a class="button" href={link("node")}>{say(texts.toNode)}</a>
        <a class="button" href={link("fairness")}>{say(texts.toFairness)}</a>
      </div>
      <p class="quiet">{say(texts.told)}</p>
      <Silent of={asked} title={say(texts.title)} />
      {refused && !isSilent && <Notice error={refused} />}
      {!known && !refused && !isSilent && <p role="status">{say(shell.loading)}</p>}
      {known && <Standing of={known} takesNothing={status?.switches.intake === false} />}
    </div>
  );
}

function Standing({ of, takesNothing }: { of: Guardrails; takesNothing: boolean }) {
  const { guardrails, height, intakePercent } = of;
  const broken = guardrails.filter(({ isBroken }) => isBroken);
  const tone = broken.length === 0 ? "good" : broken.every(isDrift) ? "warn" : "bad";
  const isOther = ({ name }: Guardrail) => !Object.hasOwn(KNOWN, name);
  const others = guardrails.filter(isOther);
  return (
    <>
      <div class="cards">
        <section class="card">
          <p class={`verdict ${tone}`} role="status">
            {say(broken.length === 0 ? texts.allHold : texts.broken, { broken: written(broken.length), count: written(guardrails.length) })}
          </p>
          {broken.length > 0 && <ul>{broken.map(({ name }) => <li key={name}>{nameOf(name)}</li>)}</ul>}
          <p class="quiet">{say(texts.asOf, { height: written(height) })}</p>
        </section>
        <section class="card">
          <h2>{say(texts.intake)}</h2>
          <p class={takesNothing || intakePercent < 100 ? "warn" : ""} data-intake={intakePercent}>{intake(intakePercent, takesNothing)}</p>
          <p class="quiet">{say(texts.intakeHow)}</p>
        </section>
      </div>
      <Group title={say(texts.ledgers)} told={say(texts.ledgersTold)} of={guardrails.filter((one) => !isOther(one) && !isDrift(one))} />
      <Group title={say(texts.drifts)} told={say(texts.driftsTold)} of={guardrails.filter(isDrift)} />
      {others.length > 0 && <Group title={say(texts.others)} of={others} />}
    </>
  );
}

function Group({ title, told, of }: { title: string; told?: string; of: readonly Guardrail[] }) {
  return (
    <section>
      <h2>{title}</h2>
      {told && <p class="quiet">{told}</p>}
      <div class="cards">{of.map((one) => <Shown key={one.name} of={one} />)}</div>
    </section>
  );
}

function Shown({ of }: { of: Guardrail }) {
  const { name, isBroken, unit, brokenAtHeight, brokenSince, message } = of;
  const text = textOf(name);
  const mayPass = isDrift(of);
  const part = mayPass ? reached(of) : null;
  const tone = !isBroken ? "good" : mayPass ? "warn" : "bad";
  const hasFigures = !text || text.figure !== undefined;
  const lacksOne = mayPass && (of.figure === null || of.bound === null);
  return (
    <article class={`card guardrail ${isBroken ? "broken" : ""} ${mayPass ? "drifts" : ""}`} data-guardrail={name}>
      <div class="name">
        <h3>{nameOf(name)}</h3>
        <span class={`mark ${tone}`}>{say(isBroken ? texts.isBroken : texts.holds)}</span>
      </div>
      <p>{text ? say(text.watches) : <span lang="en">{of.holds}</span>}</p>
      <Facts
        of={[
          isBroken && brokenAtHeight !== null && [say(texts.since), <Since tone={tone} height={brokenAtHeight} at={brokenSince} />],
          hasFigures && of.figure !== null && [say(text?.figure ?? texts.figure), figure(of.figure, unit)],
          hasFigures && of.bound !== null && [say(text?.bound ?? texts.atMost), figure(of.bound, unit)],
          isBroken && message !== null && [say(texts.says), <span lang="en">{message}</span>],
        ]}
      />
      {part !== null && <meter min={0} max={1} value={part} aria-label={say(texts.ofBound, { figure: figure(of.figure, unit), bound: figure(of.bound, unit) })} />}
      {lacksOne && text?.without && <p class="quiet">{say(text.without)}</p>}
    </article>
  );
}

function Since({ tone, height, at }: { tone: string; height: number; at: string | null }) {
  return (
    <span class={tone}>
      <a href={link("batch", height)}>{say(texts.batch, { height: written(height) })}</a>
      {at !== null && <>, <When at={at} as="full" /></>}
    </span>
  );
}

/** Undefined of one that only a later release knows: then the node's own words are shown. */
function textOf(name: string): GuardrailText | undefined {
  return Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
}

function nameOf(name: string): string {
  const text = textOf(name);
  return text ? say(text.name) : name;
}

function isDrift({ name }: Guardrail): boolean {
  return Object.hasOwn(drifts, name);
}

function intake(percent: number, isOff: boolean): string {
  if (isOff) return say(texts.intakeOff);
  if (percent >= 100) return say(texts.takesAll);
  return percent > 0 ? say(texts.takesSome, { percent: written(percent) }) : say(texts.takesNone);
}
