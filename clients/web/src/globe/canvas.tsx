// The globe in a page: the canvas, and buttons for whoever has no wheel and no fingers on it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { say } from "../shell/texts.ts";
import { globe } from "../texts/globe.ts";
import { wholeEarthZoom, zoomed, type Camera } from "./camera.ts";
import { Stage, type Told } from "./stage.ts";

interface Props extends Told {
  /** Where it looks first. */
  camera: Camera;
  /** The stage once it is there; null when it goes. */
  onStage: (stage: Stage | null) => void;
  /** More buttons, and what lies over the globe. */
  buttons?: ComponentChildren;
  children?: ComponentChildren;
}

export function GlobeCanvas({ camera, onStage, settled, tapped, mapped, buttons, children }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const stage = useRef<Stage | null>(null);
  const told = useRef<Told>({ settled, tapped, mapped });
  told.current = { settled, tapped, mapped };
  useEffect(() => {
    // In a frame of its own: it asks how large the canvas is, which is known only once the page is laid out.
    const frame = requestAnimationFrame(() => {
      if (!canvas.current) return; // Gone again before there was a frame.
      stage.current = new Stage(canvas.current, camera, {
        settled: (...now) => told.current.settled(...now),
        tapped: (...now) => told.current.tapped(...now),
        mapped: () => told.current.mapped(),
      });
      onStage(stage.current);
    });
    return () => {
      cancelAnimationFrame(frame);
      if (!stage.current) return;
      onStage(null);
      stage.current.close();
    };
  }, []);
  const zoom = (by: number) => stage.current?.fly(zoomed(stage.current.camera, stage.current.size, by));
  const wholeEarth = () => stage.current?.fly({ ...stage.current.camera, zoom: wholeEarthZoom(stage.current.size) });
  return (
    <div class="globe">
      <canvas ref={canvas} tabIndex={0} role="application" aria-label={say(globe.globe)} aria-describedby="globe-how-to" />
      <p id="globe-how-to" class="unseen">
        {say(globe.howTo)}
      </p>
      <div class="globe-buttons">
        <GlobeButton label={say(globe.nearer)} path="M8 3v10M3 8h10" onPress={() => zoom(1)} />
        <GlobeButton label={say(globe.farther)} path="M3 8h10" onPress={() => zoom(-1)} />
        <GlobeButton label={say(globe.wholeEarth)} path="M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2M2 8h12M8 2c-4 4-4 8 0 12M8 2c4 4 4 8 0 12" onPress={wholeEarth} />
        {buttons}
      </div>
      {children}
    </div>
  );
}

/** `isPressed`: for one that switches something on and off. */
export function GlobeButton({ label, path, onPress, isPressed }: { label: string; path: string; onPress: () => void; isPressed?: boolean }) {
  return (
    <button type="button" aria-label={label} title={label} aria-pressed={isPressed} onClick={onPress}>
      <svg viewBox="0 0 16 16" width="20" height="20" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round">
        <path d={path} />
      </svg>
    </button>
  );
}
