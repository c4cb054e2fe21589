// What the signals say of an account or a triangle, and why. Loaded where it is shown, which is at the end of other pages.
import { useEffect, useState } from "preact/hooks";
import { useAnswer } from "../../shell/node.ts";
import { written } from "../../shell/numbers.ts";
import { Notice } from "../../shell/notice.tsx";
import { say } from "../../shell/texts.ts";
import { timeOrDate } from "../../shell/times.ts";
import { plausibility, signals } from "../../texts/plausibility.ts";
import { figuresOf, percent } from "./figures.ts";

interface Reason {
  signal: string;
  strengthBps: number;
  weightBps: number;
  /** Of an account. */
  figures?: Readonly<Record<string, unknown>>;
  /** Of a triangle: about how many it is said of. */
  accounts?: number;
}

interface Answer {
  proofs: number;
  implausibilityBps: number;
  implausibleFromBps: number;
  reasons: readonly Reason[];
  periodBeginsAt: string;
  isComplete: boolean;
  completeFromHeight: number;
  accounts?: number;
  implausibleAccounts?: number;
}

interface Props {
  /** "accounts" or "triangles", and which. */
  kind: "accounts" | "triangles";
  id: string;
}

/** Signals are reckoned every ten minutes. */
const ASK_MS = 120_000;

export default function Plausibility({ kind, id }: Props) {
  const { answer, error, again } = useAnswer<Answer>(`/plausibility/${kind}/${id}`, undefined, ASK_MS);
  const [isOff, setOff] = useState(false);
  // A node of before, or one whose operator has it off: nothing is missing here.
  useEffect(() => setOff(error?.code === "SWITCHED_OFF" || error?.code === "NOT_FOUND"), [error]);
  if (isOff || (!answer && !error)) return null;
  return (
    <section class="card plausibility" aria-labelledby="plausibility">
      <h2 id="plausibility">{say(plausibility.title)}</h2>
      {!answer && error && <Notice error={error} again={again} />}
      {answer && (answer.proofs === 0 ? <p>{say(plausibility.noProofs, { time: timeOrDate(answer.periodBeginsAt) })}</p> : <Told answer={answer} />)}
    </section>
  );
}

function Told({ answer }: { answer: Answer }) {
  const { proofs, implausibilityBps, implausibleFromBps, reasons, accounts, implausibleAccounts } = answer;
  const isImplausible = implausibilityBps >= implausibleFromBps;
  return (
    <>
      <dl class="facts">
        <dt>{say(plausibility.score)}</dt>
        <dd data-implausibility={implausibilityBps}>
          {say(plausibility.ofHundred, { share: percent(implausibilityBps) })}
          {isImplausible && <span class="warn"> · {say(plausibility.isImplausible, { limit: percent(implausibleFromBps) })}</span>}
          <meter min={0} max={10_000} value={implausibilityBps} aria-label={say(plausibility.score)} />
        </dd>
        <dt>{say(plausibility.proofs)}</dt>
        <dd>{written(proofs)}</dd>
        {accounts !== undefined && (
          <>
            <dt>{say(plausibility.accounts)}</dt>
            <dd>{say(plausibility.ofThem, { count: written(accounts), implausible: written(implausibleAccounts) })}</dd>
          </>
        )}
      </dl>
      {reasons.length === 0 ? (
        <p>{say(plausibility.nothing)}</p>
      ) : (
        <>
          <h3>{say(plausibility.reasons)}</h3>
          <ul class="reasons">{reasons.map((reason) => <Because key={reason.signal} of={reason} />)}</ul>
        </>
      )}
      <p class="quiet">
        {say(plausibility.decidesNothing)} {say(plausibility.since, { time: timeOrDate(answer.periodBeginsAt) })}
        {!answer.isComplete && ` ${say(plausibility.incomplete, { height: written(answer.completeFromHeight) })}`}
      </p>
    </>
  );
}

function Because({ of: { signal, strengthBps, weightBps, figures, accounts } }: { of: Reason }) {
  const told = Object.hasOwn(signals, signal) ? signals[signal] : undefined;
  return (
    <li data-signal={signal}>
      <strong>{told ? say(told.name) : signal}</strong>
      {told && figures && <div>{say(told.ofAccount, figuresOf(figures))}</div>}
      <small class="quiet">
        {accounts !== undefined && `${say(plausibility.ofAccounts, { count: written(accounts) })} `}
        {say(plausibility.strength, { share: percent(strengthBps), weight: percent(weightBps) })}
      </small>
    </li>
  );
}
