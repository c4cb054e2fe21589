// What validators were slashed for, each told in sentences.
import { explorer, offences } from "../../texts/explorer.ts";
import { isAmount, micro, shown } from "../../shell/amounts.ts";
import { Id } from "../../shell/ids.tsx";
import { link } from "../../shell/router.ts";
import { language, say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import type { Slashing } from "./answers.ts";

export function Slashings({ of }: { of: readonly Slashing[] }) {
  if (of.length === 0) return null;
  return (
    <ul class="slashings">
      {of.map((one) => (
        <li key={`${one.height} ${one.accused} ${one.kind} ${one.offenceHeight}`}>
          <Id text={one.accused} to={link("validator", one.validator)} />
          {": "}
          {say(offences[one.kind], { height: one.offenceHeight })} {cost(one)}{" "}
          <span class="quiet"><a href={link("batch", one.height)}>{say(explorer.batch, { height: one.height })}</a>, <When at={one.timestamp} /></span>
        </li>
      ))}
    </ul>
  );
}

function cost({ amount, shareBps }: Slashing): string {
  if (isAmount(amount) && micro(amount) === 0n) return say(explorer.costNothing);
  return say(explorer.cost, { amount: shown(amount, language()), share: shareBps / 100 });
}
