// What the colours of the triangles mean, and how many there are.
import { say } from "../../shell/texts.ts";
import { globe } from "../../texts/globe.ts";
import type { Standing } from "../../globe/scene.ts";

interface Props {
  triangles: readonly Standing[];
  isTruncated: boolean;
  hasAccount: boolean;
}

export function NearbyCard({ triangles, isTruncated, hasAccount }: Props) {
  const levels = triangles.map(({ level }) => level);
  const [first, last] = [Math.min(...levels), Math.max(...levels)];
  const counted = first === last ? globe.countOfOne : globe.countActive;
  return (
    <section class="card" aria-labelledby="near">
      <h2 id="near">{say(globe.near)}</h2>
      {triangles.length > 0 && (
        <p>
          {say(counted, { count: triangles.length, first, last })} {say(globe.tapOne)} {isTruncated && say(globe.more)}
        </p>
      )}
      {hasAccount && (
        <ul class="key">
          <li class="good"><span>{say(globe.keyNow)}</span></li>
          <li class="warn"><span>{say(globe.keyLater)}</span></li>
          <li class="good own"><span>{say(globe.keyOwn)}</span></li>
        </ul>
      )}
    </section>
  );
}
