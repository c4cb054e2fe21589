// Where the device is, how well that is known, and what to do if it is not.
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import { prove, signals } from "../../texts/prove.ts";
import type { Signal } from "../../proving/position.ts";
import { AccuracyRing } from "./ring.tsx";

interface Props {
  signal: Signal;
  limitM: number;
  isSimulated: boolean;
  /** Nothing has been asked yet: the person begins. */
  onFind: (() => void) | undefined;
}

export function PlaceCard({ signal, limitM, isSimulated, onFind }: Props) {
  const heard = "heard" in signal ? signal.heard : null;
  const isGood = signal.kind === "good";
  const { is, advice } = signals[signal.kind]!;
  return (
    <section class="card place" aria-labelledby="place-title">
      <h2 id="place-title">{say(prove.place)}</h2>
      {isSimulated && <p class="badge warn">{say(prove.simulated)}</p>}
      {onFind ? (
        <>
          <p>{say(prove.whyAsked)}</p>
          <button type="button" class="main" onClick={onFind}>
            {say(prove.find)}
          </button>
        </>
      ) : (
        <div class="place-known">
          <AccuracyRing accuracyM={heard?.fix.accuracy ?? null} limitM={limitM} isGood={isGood} />
          <div>
            {heard && <p class="metres">{say(prove.within, { metres: shortMetres(heard.fix.accuracy) })}</p>}
            <p role="status" class={isGood ? "good" : "warn"}>
              {say(is)} {advice && say(advice)}
            </p>
            {signal.kind === "poor" && <p class="quiet">{say(prove.needed, { metres: limitM })}</p>}
            {heard && (
              <p class="quiet">
                <span class="mono">
                  {heard.fix.lat.toFixed(5)}, {heard.fix.lon.toFixed(5)}
                </span>{" "}
                {say(prove.measured)} <When at={heard.measuredAtMs ?? heard.fix.timestamp} />
              </p>
            )}
          </div>
        </div>
      )}
    </section>
  );
}

/** Fractions tell something of the best receivers only. */
function shortMetres(accuracyM: number): string {
  return accuracyM < 10 ? String(Math.round(accuracyM * 10) / 10) : String(Math.round(accuracyM));
}
