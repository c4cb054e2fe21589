// The triangle that can be proven in here, what it pays, from when on, and the button.
import type { ComponentChildren } from "preact";
import type { ProofConfig } from "step-client";
import { shown } from "../../shell/amounts.ts";
import { metres } from "../../shell/explained.ts";
import { Id } from "../../shell/ids.tsx";
import { Notice } from "../../shell/notice.tsx";
import { link } from "../../shell/router.ts";
import { language, say } from "../../shell/texts.ts";
import { lasting, timeOfDay } from "../../shell/times.ts";
import { prove, states } from "../../texts/prove.ts";
import type { Asked } from "../../proving/here.ts";
import { distanceM, type LastProof, type Point, type Readiness } from "../../proving/readiness.ts";

interface Props {
  asked: Asked;
  rules: ProofConfig;
  point: Point | undefined;
  last: LastProof | null;
  when: Readiness;
  /** Whether the time has come, by the moment at which the position was measured. */
  isTime: boolean;
  isOnline: boolean;
  /** By the network's clock. */
  nowMs: number;
  /** What the device's clock shows when the network's shows 0. */
  clockOffsetMs: number;
  /** What can be done here. */
  children: ComponentChildren;
}

export function TriangleCard({ asked, rules, point, last, when, isTime, isOnline, nowMs, clockOffsetMs, children }: Props) {
  const { here, error, isFresh } = asked;
  const isLater = when.fromMs !== null && when.fromMs > nowMs;
  return (
    <section class="card" aria-labelledby="triangle-title">
      <h2 id="triangle-title">{say(prove.triangle)}</h2>
      {!point && <p class="quiet">{say(prove.notKnown)}</p>}
      {point && error && (isOnline || !here) && <Notice error={error} again={asked.again} />}
      {point && here && (
        <>
          <p class="reward">
            <strong>{shown(here.reward, language())}</strong> STEP
          </p>
          {!isFresh && !isOnline && <p class="quiet">{say(prove.asBefore)}</p>}
          <p role="status" class={isTime ? "good" : "warn"}>
            {isLater && when.fromMs !== null ? say(prove.mayAt, { time: timeOfDay(when.fromMs - clockOffsetMs) }) : say(isTime ? prove.mayNow : prove.mayOnceGood)}{" "}
            {isLater && when.because === "moratorium" && say(prove.becauseOfPause, { pause: lasting(rules.PROOF_MORATORIUM_MS) })}
            {isLater && when.because === "speed" && last &&
              say(prove.becauseOfSpeed, { distance: metres(distanceM(last, point)), limit: rules.PROOF_SPEED_LIMIT_MPS })}
          </p>
        </>
      )}
      {children}
      {point && here && (
        <dl class="facts">
          <dt>{say(prove.level)}</dt>
          <dd>{here.level}</dd>
          <dt>{say(prove.proofs)}</dt>
          <dd>{say(prove.ofProofs, { clicks: here.clicks, most: here.level === rules.LEVEL_MAX ? rules.EXHAUSTION_CLICKS : rules.SUBDIVISION_CLICKS })}</dd>
          <dt>{say(prove.state)}</dt>
          <dd>{states[here.state] ? say(states[here.state]!) : here.state}</dd>
          <dt>{say(prove.id)}</dt>
          <dd>
            <Id text={here.triangleId} to={link("triangle", here.triangleId)} copies />
          </dd>
        </dl>
      )}
    </section>
  );
}
