// How well the position is known, drawn: the dashed circle is what is good enough, the filled one where one may be.

/** Of the drawing; what is good enough has half the radius, and areas grow as areas do. */
const RADIUS = 60;

export function AccuracyRing({ accuracyM, limitM, isGood }: { accuracyM: number | null; limitM: number; isGood: boolean }) {
  const radius = accuracyM === null ? 0 : Math.min(RADIUS - 1, (RADIUS / 2) * Math.sqrt(accuracyM / limitM));
  return (
    <svg class={isGood ? "ring good" : "ring warn"} viewBox={`${-RADIUS} ${-RADIUS} ${2 * RADIUS} ${2 * RADIUS}`} aria-hidden="true">
      <circle r={RADIUS - 1} class="ring-edge" />
      <circle r={RADIUS / 2} class="ring-limit" />
      {accuracyM === null ? <circle r={RADIUS / 2} class="ring-search" /> : <circle r={Math.max(5, radius)} class="ring-area" />}
      <circle r="3.5" class="ring-here" />
    </svg>
  );
}
