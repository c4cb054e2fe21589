// A made-up position, for a chain that is a devnet: there, who tries the app may be anywhere.
import { useState } from "preact/hooks";
import { say } from "../../shell/texts.ts";
import { prove } from "../../texts/prove.ts";
import { placeOfText, type Point } from "../../proving/simulated.ts";

interface Props {
  at: Point | null;
  onMove: (to: Point | null) => void;
}

/** Metres along a meridian are the same everywhere. */
const DEGREES_OF_20_M = 20 / 111_194.926_644_558_7;

export function Simulate({ at, onMove }: Props) {
  const [isBad, setBad] = useState(false);
  const go = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const to = placeOfText(String(form.get("lat")), String(form.get("lon")));
    setBad(to === null);
    if (to) onMove(to);
  };
  return (
    <details class="card simulate" open={at !== null}>
      <summary>{say(prove.simulate)}</summary>
      <p class="quiet">{say(prove.simulateWhy)}</p>
      <form onSubmit={go} key={`${at?.lat} ${at?.lon}`}>
        <label>
          {say(prove.latitude)}
          <input name="lat" inputMode="decimal" required defaultValue={String(at?.lat ?? 47.3769)} />
        </label>
        <label>
          {say(prove.longitude)}
          <input name="lon" inputMode="decimal" required defaultValue={String(at?.lon ?? 8.5417)} />
        </label>
        <div class="actions">
          <button>{say(prove.simulateGo)}</button>
          {at && (
            <>
              <button type="button" onClick={() => onMove({ lat: Math.min(90, at.lat + DEGREES_OF_20_M), lon: at.lon })}>
                {say(prove.walk)}
              </button>
              <button type="button" onClick={() => onMove(null)}>
                {say(prove.simulateStop)}
              </button>
            </>
          )}
        </div>
        <p role="status" class="bad">
          {isBad && say(prove.badDegrees)}
        </p>
      </form>
    </details>
  );
}
