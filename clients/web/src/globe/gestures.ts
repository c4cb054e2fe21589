// What fingers, mouse, wheel and keys do to the camera.
import { pulled, wholeEarthZoom, zoomed, type Camera, type Size } from "./camera.ts";

export interface Hands {
  camera: () => Camera;
  size: () => Size;
  move: (camera: Camera) => void;
  /** A pixel was tapped, or the middle chosen; from the middle, in CSS pixels. */
  tap: (x: number, y: number) => void;
}

const TAP_PX_MAX = 8;
const TAP_MS_MAX = 600;
const WHEEL_ZOOM_PER_PX = 0.003;
/** Of the view, by one press of an arrow. */
const ARROW_SHARE = 0.15;
const KEY_ZOOM = 0.5;

/** Listens until the signal says; the element must have `touch-action: none`. */
export function followHands(element: HTMLElement, hands: Hands, signal: AbortSignal): void {
  const down = new Map<number, { x: number; y: number }>();
  let tapAt: { x: number; y: number; since: number } | null = null;

  const fromMiddle = ({ clientX, clientY }: { clientX: number; clientY: number }) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return { x: clientX - left - width / 2, y: clientY - top - height / 2 };
  };
  const on = <K extends keyof HTMLElementEventMap>(kind: K, hear: (event: HTMLElementEventMap[K]) => void) =>
    element.addEventListener(kind, hear, { signal, passive: false });

  on("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    const at = fromMiddle(event);
    down.set(event.pointerId, at);
    tapAt = down.size === 1 ? { ...at, since: event.timeStamp } : null;
  });
  on("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const at = fromMiddle(event);
    if (tapAt && Math.hypot(at.x - tapAt.x, at.y - tapAt.y) > TAP_PX_MAX) tapAt = null;
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    down.set(event.pointerId, at);
    if (!other) {
      if (!tapAt) hands.move(pulled(hands.camera(), hands.size(), at.x - before.x, at.y - before.y));
      return;
    }
    // Two fingers: what lies half-way between them goes along, and they zoom by how far apart they are.
    const size = hands.size();
    const between = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
    const by = Math.log2(distance(at, other) / Math.max(1, distance(before, other)));
    hands.move(pulled(zoomed(hands.camera(), size, by, between.x, between.y), size, (at.x - before.x) / 2, (at.y - before.y) / 2));
  });
  const up = (event: PointerEvent) => {
    const isTap = down.delete(event.pointerId) && tapAt !== null && event.timeStamp - tapAt.since < TAP_MS_MAX;
    if (isTap && event.type === "pointerup") hands.tap(tapAt!.x, tapAt!.y);
    tapAt = null;
  };
  on("pointerup", up);
  on("pointercancel", up);
  on("wheel", (event) => {
    event.preventDefault();
    const { x, y } = fromMiddle(event);
    const px = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : event.deltaY * 32;
    // A touchpad's pinch comes as a wheel with Ctrl, in small steps.
    hands.move(zoomed(hands.camera(), hands.size(), -px * WHEEL_ZOOM_PER_PX * (event.ctrlKey ? 4 : 1), x, y));
  });
  on("dblclick", (event) => {
    const { x, y } = fromMiddle(event);
    hands.move(zoomed(hands.camera(), hands.size(), 1, x, y));
  });
  on("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const moved = byKey(event.key, hands.camera(), hands.size());
    if (moved) hands.move(moved);
    else if (event.key === "Enter" || event.key === " ") hands.tap(0, 0);
    else return;
    event.preventDefault();
  });
}

/** The camera after a key; null if the key is none of the globe's. */
export function byKey(key: string, camera: Camera, size: Size): Camera | null {
  const [across, down] = [size.width * ARROW_SHARE, size.height * ARROW_SHARE];
  if (key === "ArrowLeft") return pulled(camera, size, across, 0);
  if (key === "ArrowRight") return pulled(camera, size, -across, 0);
  if (key === "ArrowUp") return pulled(camera, size, 0, down);
  if (key === "ArrowDown") return pulled(camera, size, 0, -down);
  if (key === "+" || key === "=") return zoomed(camera, size, KEY_ZOOM);
  if (key === "-" || key === "_") return zoomed(camera, size, -KEY_ZOOM);
  if (key === "Home" || key === "0") return { ...camera, zoom: wholeEarthZoom(size) };
  return null;
}

function distance(a: { x: number; y: number }, b: { x: number; y: number }): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
