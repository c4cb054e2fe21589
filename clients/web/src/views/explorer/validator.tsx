// One validator: its stake, the last batches with and without its signature, and what it was slashed for.
import { explorer, validatorStates } from "../../texts/explorer.ts";
import { Id } from "../../shell/ids.tsx";
import { useAnswer } from "../../shell/node.ts";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { dateAndTime } from "../../shell/times.ts";
import { When } from "../../shell/when.tsx";
import type { Batch, Evidence, Validator } from "./answers.ts";
import { attendance, participation } from "./attendance.ts";
import { useLastBatches } from "./last-batches.ts";
import { More } from "./more.tsx";
import { useListing } from "./pages.ts";
import { Answered, Card, Facts, Heading, Step } from "./parts.tsx";
import { Slashings } from "./slashings.tsx";

const LOOK_AGAIN_MS = 15_000;

export function ValidatorPage({ address }: { address: string }) {
  const asked = useAnswer<{ validator: Validator }>(`/validators/${address}`, undefined, LOOK_AGAIN_MS);
  const { batches } = useLastBatches();
  return (
    <>
      <Heading title={say(explorer.validator)} />
      <p><Id text={address} whole copies /></p>
      <Answered of={asked}>
        {({ validator }) => (
          <>
            <Card title={say(explorer.state)}>
              <Facts
                of={[
                  [say(explorer.state), <StateOf validator={validator} />],
                  [say(explorer.stake), <Step amount={validator.stake} />],
                  [say(explorer.owner), <Id text={validator.owner} to={link("account", validator.owner)} copies />],
                  [say(explorer.publicKey), <Id text={validator.publicKey} copies />],
                  [say(explorer.p2pAddress), <span class="mono">{validator.p2pAddress}</span>],
                  [say(explorer.activeFrom), validator.activeFromHeight],
                  validator.activeUntilHeight && [say(explorer.activeUntil), validator.activeUntilHeight],
                  validator.lockedUntil && [say(explorer.lockedUntil), <When at={validator.lockedUntil} as="full" />],
                ]}
              />
              {validator.absentBatches !== undefined && validator.absentBatches > 1 && validator.absentSince && (
                <p class="warn">{say(explorer.absent, { count: validator.absentBatches, since: dateAndTime(validator.absentSince) })}</p>
              )}
            </Card>
            {batches && batches.length > 0 && <Strip validator={validator} batches={batches} />}
          </>
        )}
      </Answered>
      <Card title={say(explorer.slashingsOf)}>
        <ItsSlashings address={address} />
      </Card>
    </>
  );
}

export function StateOf({ validator }: { validator: Validator }) {
  const tone = validator.state === "jailed" ? "bad" : validator.inSet ? "good" : "quiet";
  return <span class={tone}>{say(validatorStates[validator.state])}</span>;
}

/** A box for each batch, full where it signed. */
function Strip({ validator, batches }: { validator: Validator; batches: readonly Batch[] }) {
  const took = participation(validator, batches);
  return (
    <Card title={say(explorer.participation, { count: batches.length })}>
      <p>{took.of > 0 ? say(explorer.participationOf, took) : say(explorer.notInSet)}</p>
      <ol class="strip" aria-label={say(explorer.heightStrip, { count: batches.length })}>
        {batches.map((batch) => {
          const its = attendance(batch, [validator]).find((one) => one.validator === validator.address);
          const word = its === undefined ? "–" : say(its.signed ? explorer.signed : explorer.missed);
          return (
            <li>
              <a class={its === undefined ? "none" : its.signed ? "there" : "missing"} href={link("batch", batch.height)} title={`${batch.height}: ${word}`} aria-label={`${say(explorer.batch, { height: batch.height })}: ${word}`} />
            </li>
          );
        })}
      </ol>
      {took.signed < took.of && <p class="quiet small">{say(explorer.missedNote)}</p>}
    </Card>
  );
}

/** The node lists those of all: there are few, and its own are picked out of the pages that are here. */
function ItsSlashings({ address }: { address: string }) {
  const listing = useListing<Evidence>("/evidence");
  const its = listing.pages.flatMap((page) => page.slashings).filter((one) => one.validator === address || one.accused === address);
  return (
    <>
      <Slashings of={its} />
      {its.length === 0 && !listing.hasMore && !listing.isAsking && !listing.error && <p class="quiet">{say(explorer.notSlashed)}</p>}
      <More of={listing} />
    </>
  );
}
