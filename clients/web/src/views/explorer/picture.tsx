// A triangle drawn small, with the four inside it, a point for each proof, and its neighbours left out.
import { explorer } from "../../texts/explorer.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import type { TriangleProof, TriangleState } from "./answers.ts";
import { drawing, points } from "./flat.ts";

const SIZE = 240;
const MARGIN = 12;

export function Picture({ id, level, state, proofs }: { id: string; level: number; state: TriangleState | undefined; proofs: readonly TriangleProof[] }) {
  const { corners, children, spotOf } = drawing(id, SIZE, MARGIN);
  return (
    <div class="card picture">
      <svg viewBox={`0 0 ${SIZE} ${SIZE}`} role="group" aria-label={say(explorer.picture, { level })}>
        <polygon class={`outline ${state ?? "none"}`} points={points(corners)} />
        {children.map((child, index) => (
          <a href={link("triangle", child.triangleId)} aria-label={say(explorer.child, { index })}>
            <polygon class="child" points={points(child.corners)} />
            <text {...middleOf(child.corners)} aria-hidden="true">{index}</text>
          </a>
        ))}
        {proofs.map((proof) => {
          const [x, y] = spotOf(proof.lat, proof.lon);
          return <circle key={proof.proofId} cx={x} cy={y} r={3} />;
        })}
      </svg>
    </div>
  );
}

function middleOf(corners: readonly (readonly [number, number])[]): { x: number; y: number } {
  const mean = (index: 0 | 1) => corners.reduce((total, spot) => total + spot[index], 0) / corners.length;
  return { x: mean(0), y: mean(1) };
}
