// A small chart of lines over time, with its axes, its unit in the title, and the same figures as a table.
import { useState } from "preact/hooks";
import { node } from "../../texts/node.ts";
import { written as number } from "../../shell/numbers.ts";
import { say } from "../../shell/texts.ts";
import { hourAndMinute, timeOfDay } from "../../shell/times.ts";
import { linePath, scaleFor, timeTicks, type Point } from "./scaling.ts";

export interface Line {
  name: string;
  points: readonly Point[];
}

/** Three digits or so say all there is to say. */
function written(value: number | null | undefined): string {
  return number(value, (value ?? 0) >= 100 ? 0 : (value ?? 0) >= 10 ? 1 : 2);
}

const BOX = { width: 300, height: 110 };
const LEFT = 40;
const TOP = 8;
const BELOW = 20;
const RIGHT = 8;

export function Chart({ title, lines, isWhole = false }: { title: string; lines: readonly Line[]; isWhole?: boolean }) {
  const [isOpen, setOpen] = useState(false);
  const scale = scaleFor(lines.flatMap((line) => line.points.map((point) => point.value)), isWhole);
  const moments = lines[0]?.points.map((point) => point.atMs) ?? [];
  const fromMs = moments[0] ?? 0;
  const toMs = moments.at(-1) ?? 0;
  const latest = lines.map((line) => `${line.name} ${written(line.points.at(-1)?.value)}`).join(", ");
  const y = (value: number) => BOX.height - (value / scale.max) * BOX.height;
  return (
    <figure class="card chart">
      <figcaption>
        <h3>{title}</h3>
        <ul class="legend">
          {lines.map((line, index) => (
            <li><svg viewBox="0 0 24 8" width="24" height="8" aria-hidden="true"><path class={`line line-${index}`} d="M1 4H23" /></svg> {line.name} <strong>{written(line.points.at(-1)?.value)}</strong></li>
          ))}
        </ul>
      </figcaption>
      <svg class="plot" viewBox={`${-LEFT} ${-TOP} ${LEFT + BOX.width + RIGHT} ${TOP + BOX.height + BELOW}`} role="img" aria-label={say(node.chartOf, { title, latest })}>
        {scale.ticks.map((tick) => (
          <g>
            <path class="grid" d={`M0 ${y(tick)}H${BOX.width}`} />
            <text class="tick" x={-6} y={y(tick)} text-anchor="end" dominant-baseline="central">{written(tick)}</text>
          </g>
        ))}
        {timeTicks(fromMs, toMs).map((tick) => (
          <text class="tick" x={((tick - fromMs) / Math.max(toMs - fromMs, 1)) * BOX.width} y={BOX.height + 15} text-anchor="middle">{hourAndMinute(tick)}</text>
        ))}
        {lines.map((line, index) => <path class={`line line-${index}`} d={linePath(line.points, scale, fromMs, toMs, BOX)} />)}
      </svg>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{say(node.asTable)}</summary>
        {isOpen && <AsTable title={title} lines={lines} moments={moments} />}
      </details>
    </figure>
  );
}

function AsTable({ title, lines, moments }: { title: string; lines: readonly Line[]; moments: readonly number[] }) {
  return (
    <div class="table-of-chart" tabIndex={0} role="region" aria-label={title}>
      <table>
        <thead>
          <tr><th scope="col">{say(node.time)}</th>{lines.map((line) => <th scope="col" class="number">{line.name}</th>)}</tr>
        </thead>
        <tbody>
          {moments.map((atMs, index) => (
            <tr key={atMs}><td>{timeOfDay(atMs)}</td>{lines.map((line) => <td class="number">{written(line.points[index]?.value)}</td>)}</tr>
          )).reverse()}
        </tbody>
      </table>
    </div>
  );
}
