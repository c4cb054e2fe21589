// Plots, drawn as SVG: bars of shares, and lines over epochs. What they show also stands in words or in a table beside them.
import { useState } from "preact/hooks";
import { shown } from "../../shell/amounts.ts";
import { written } from "../../shell/numbers.ts";
import { language, say } from "../../shell/texts.ts";
import { fairness } from "../../texts/fairness.ts";
import { linePath, part, percent } from "./shares.ts";

export interface Bar {
  name: string;
  /** The address of its page. */
  to?: string;
  sharePpm: number | null;
  paid: string;
  /** How many it is of, such as accounts. */
  note?: string;
}

const BAR = { width: 300, height: 8 };

/** One below the other, each with its name and share in words: that is the table, too. */
export function Bars({ bars, label }: { bars: readonly Bar[]; label: string }) {
  return (
    <ul class="bars" aria-label={label}>
      {bars.map(({ name, to, sharePpm, paid, note }) => (
        <li key={name}>
          {to ? <a href={to}>{name}</a> : <span>{name}</span>}
          <span class="number">{percent(sharePpm)}</span>
          <svg viewBox={`0 0 ${BAR.width} ${BAR.height}`} preserveAspectRatio="none" aria-hidden="true">
            <rect class="bar-ground" width={BAR.width} height={BAR.height} />
            <rect class="bar-share" width={BAR.width * part(sharePpm)} height={BAR.height} />
          </svg>
          <small class="quiet">
            {shown(paid, language())} STEP{note && ` · ${note}`}
          </small>
        </li>
      ))}
    </ul>
  );
}

export interface Line {
  name: string;
  values: readonly { epoch: number; ppm: number | null }[];
}

const BOX = { width: 320, height: 140 };
const [LEFT, TOP, RIGHT, BELOW] = [62, 8, 10, 22];
const TICKS = [0, 0.25, 0.5, 0.75, 1];
const EPOCH_TICKS_MAX = 6;

/** Shares over epochs, the oldest first. */
export function Lines({ lines, title }: { lines: readonly Line[]; title: string }) {
  const [isOpen, setOpen] = useState(false);
  const epochs = lines[0]?.values.map(({ epoch }) => epoch) ?? [];
  const [first, last] = [epochs[0] ?? 0, epochs.at(-1) ?? 0];
  const x = (epoch: number) => (last === first ? BOX.width / 2 : ((epoch - first) / (last - first)) * BOX.width);
  const y = (share: number) => BOX.height * (1 - share);
  const every = Math.max(1, Math.ceil((last - first) / EPOCH_TICKS_MAX));
  const latest = lines.map(({ name, values }) => `${name} ${percent(values.at(-1)?.ppm ?? null)}`).join(", ");
  return (
    <figure class="lines">
      <figcaption>
        <ul class="legend">
          {lines.map(({ name, values }, index) => (
            <li><svg viewBox="0 0 24 8" width="24" height="8" aria-hidden="true"><path class={`line line-${index}`} d="M1 4H23" /></svg> {name} <strong>{percent(values.at(-1)?.ppm ?? null)}</strong></li>
          ))}
        </ul>
      </figcaption>
      <svg class="plot" viewBox={`${-LEFT} ${-TOP} ${LEFT + BOX.width + RIGHT} ${TOP + BOX.height + BELOW}`} role="img" aria-label={`${title}: ${latest}`}>
        {TICKS.map((tick) => (
          <g>
            <path class="grid" d={`M0 ${y(tick)}H${BOX.width}`} />
            <text class="tick" x={-6} y={y(tick)} text-anchor="end" dominant-baseline="central">{percent(tick * 1_000_000)}</text>
          </g>
        ))}
        <text class="tick" x={-LEFT} y={BOX.height + 16}>{say(fairness.epochHead)}</text>
        {epochs.filter((epoch) => (epoch - first) % every === 0).map((epoch) => (
          <text class="tick" x={x(epoch)} y={BOX.height + 16} text-anchor="middle">{written(epoch)}</text>
        ))}
        {lines.map(({ values }, index) => <path class={`line line-${index}`} d={linePath(values, x, y)} />)}
      </svg>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>{say(fairness.asTable)}</summary>
        {isOpen && (
          <div class="scrolls" tabIndex={0} role="region" aria-label={title}>
            <table>
              <thead>
                <tr><th scope="col">{say(fairness.epochHead)}</th>{lines.map(({ name }) => <th scope="col" class="number">{name}</th>)}</tr>
              </thead>
              <tbody>
                {epochs.map((epoch, index) => (
                  <tr key={epoch}><td>{written(epoch)}</td>{lines.map(({ values }) => <td class="number">{percent(values[index]?.ppm ?? null)}</td>)}</tr>
                )).reverse()}
              </tbody>
            </table>
          </div>
        )}
      </details>
    </figure>
  );
}
