// All validators: who votes with how much, who took part in the last batches, and who was slashed for what.
import { explorer } from "../../texts/explorer.ts";
import { Id } from "../../shell/ids.tsx";
import { useAnswer } from "../../shell/node.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import type { Batch, Evidence, Validator, Validators } from "./answers.ts";
import { participation } from "./attendance.ts";
import { BATCHES_LOOKED_AT, useLastBatches } from "./last-batches.ts";
import { More } from "./more.tsx";
import { useListing } from "./pages.ts";
import { Answered, Card, Heading, Step } from "./parts.tsx";
import { Slashings } from "./slashings.tsx";
import { StateOf } from "./validator.tsx";

const LOOK_AGAIN_MS = 15_000;

export function ValidatorsPage() {
  const asked = useAnswer<Validators>("/validators", undefined, LOOK_AGAIN_MS);
  const { batches } = useLastBatches();
  return (
    <>
      <Heading title={say(explorer.validators)} />
      <Answered of={asked}>
        {({ validators, quorum }) => (
          <div class="card scrolls" tabIndex={0} role="region" aria-label={say(explorer.validators)}>
            <table>
              <thead>
                <tr>
                  <th scope="col">{say(explorer.validator)}</th>
                  <th scope="col">{say(explorer.state)}</th>
                  <th scope="col" class="number">{say(explorer.participation, { count: batches?.length ?? BATCHES_LOOKED_AT })}</th>
                  <th scope="col" class="number wide-only">{say(explorer.stake)}</th>
                </tr>
              </thead>
              <tbody>{validators.map((one) => <Row key={one.address} of={one} batches={batches} />)}</tbody>
            </table>
            <p class="quiet small">{say(explorer.oneVoteEach, { quorum })} {say(explorer.missedNote)}</p>
          </div>
        )}
      </Answered>
      <Card title={say(explorer.slashings)}>
        <AllSlashings />
      </Card>
    </>
  );
}

function Row({ of, batches }: { of: Validator; batches: readonly Batch[] | undefined }) {
  const took = batches && participation(of, batches);
  return (
    <tr>
      <td><Id text={of.address} to={link("validator", of.address)} /></td>
      <td><StateOf validator={of} /></td>
      <td class="number">{took && took.of > 0 ? <span class={took.signed === 0 ? "warn" : ""}>{say(explorer.participationOf, took)}</span> : "–"}</td>
      <td class="number wide-only"><Step amount={of.stake} /></td>
    </tr>
  );
}

function AllSlashings() {
  const listing = useListing<Evidence>("/evidence");
  const all = listing.pages.flatMap((page) => page.slashings);
  return (
    <>
      <Slashings of={all} />
      {all.length === 0 && !listing.isAsking && !listing.error && <p class="quiet">{say(explorer.neverSlashed)}</p>}
      <More of={listing} />
    </>
  );
}
