// Who gets how much, epoch by epoch: `#/fairness` has them all, `#/fairness/12` the report of one.
import { centroid, parseTriangle, triangleText } from "step-client";
import { link } from "../../shell/router.ts";
import { Id } from "../../shell/ids.tsx";
import { useAnswer } from "../../shell/node.ts";
import { written } from "../../shell/numbers.ts";
import { language, say } from "../../shell/texts.ts";
import { dateAndTime } from "../../shell/times.ts";
import { When } from "../../shell/when.tsx";
import { PLACES, shown } from "../../shell/amounts.ts";
import { shortened } from "../../shell/shortened.ts";
import { fairness as texts } from "../../texts/fairness.ts";
import { length } from "../../globe/lengths.ts";
import { More } from "../explorer/more.tsx";
import { citiesIn } from "../explorer/places.ts";
import { Answered, Card, Facts, Heading, Step } from "../explorer/parts.tsx";
import type { AccountsPart, Drift, Headline, Report } from "./answers.ts";
import { useEpochs } from "./epochs.ts";
import { Bars, Lines } from "./plots.tsx";
import { reportHash } from "./report-hash.ts";
import { evenness, percent, points } from "./shares.ts";

/** The least amount that there is, of STEP. */
const LEAST = 0.000001;
const ID_CHARACTERS_MAX = 40;
/** Of the twenty triangles of level 1, whose sides are as long as the edges of the icosahedron; half as long at each next. */
const LEVEL_1_SIDE_M = 7_054_000;

export default function FairnessPage({ epoch }: { epoch: number | null }) {
  return epoch === null ? <All /> : <One key={epoch} epoch={epoch} />;
}

function All() {
  const { newest, epochs, earlier } = useEpochs();
  return (
    <>
      <Heading title={say(texts.title)} />
      <Answered of={newest}>
        {({ epochBatches, runningEpoch, runningEndsAt }) => (
          <>
            <p>{say(texts.told, { batches: written(epochBatches) })}</p>
            {epochs[0] ? <Latest of={epochs[0]} /> : <p class="card">{say(texts.none, { height: written(runningEndsAt) })}</p>}
            {epochs.length > 0 && <OverTime epochs={epochs} />}
            {epochs.length > 0 && (
              <Card title={say(texts.epochs)}>
                <p class="quiet">{say(texts.running, { epoch: written(runningEpoch), height: written(runningEndsAt) })}</p>
                <EpochTable epochs={epochs} />
                <More of={earlier} label={say(texts.earlierEpochs)} />
              </Card>
            )}
            <p><a href={link("guardrails")}>{say(texts.toGuardrails)}</a></p>
          </>
        )}
      </Answered>
    </>
  );
}

function Latest({ of }: { of: Headline }) {
  return (
    <Card title={say(texts.latestInShort, { epoch: written(of.epoch) })}>
      <InShort of={of} />
      <p><a href={link("fairness", of.epoch)}>{say(texts.toReport)}</a></p>
    </Card>
  );
}

/** What the figures say, in sentences. */
function InShort({ of: { accounts, proofs, paid, incomeGiniPpm, incomeTopSharePpm, newcomersSharePpm } }: { of: Headline }) {
  if (incomeGiniPpm === null) return <p>{say(texts.nothingPaid)}</p>;
  return (
    <p>
      {say(texts.paidInAll, {
        paid: shown(paid, language()),
        accounts: say(accounts === 1 ? texts.oneAccount : texts.moreAccounts, { count: written(accounts) }),
        proofs: say(proofs === 1 ? texts.oneProof : texts.moreProofs, { count: written(proofs) }),
      })}{" "}
      {accounts > 1 && <><strong>{say(texts[evenness(incomeGiniPpm)])}</strong> {say(texts.whoGot, { top: percent(incomeTopSharePpm), newcomers: percent(newcomersSharePpm) })}</>}
    </p>
  );
}

function OverTime({ epochs }: { epochs: readonly Headline[] }) {
  const oldestFirst = [...epochs].reverse();
  const line = (name: string, of: (one: Headline) => number | null) => ({ name, values: oldestFirst.map((one) => ({ epoch: one.epoch, ppm: of(one) })) });
  return (
    <Card title={say(texts.overTime)}>
      <Lines
        title={say(texts.overTime)}
        lines={[
          line(say(texts.incomeGini), (one) => one.incomeGiniPpm),
          line(say(texts.balancesGini), (one) => one.balancesGiniPpm),
          line(say(texts.topShare), (one) => one.incomeTopSharePpm),
          line(say(texts.newcomersShare), (one) => one.newcomersSharePpm),
        ]}
      />
      <p class="quiet">{say(texts.giniHow)}</p>
    </Card>
  );
}

function EpochTable({ epochs }: { epochs: readonly Headline[] }) {
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label={say(texts.epochs)}>
      <table>
        <thead>
          <tr>
            <th scope="col">{say(texts.epochHead)}</th>
            <th scope="col" class="number">{say(texts.paidStep)}</th>
            <th scope="col" class="number">{say(texts.incomeGini)}</th>
            <th scope="col" class="number wide-only">{say(texts.drift)}</th>
            <th scope="col" class="number wide-only">{say(texts.accounts)}</th>
          </tr>
        </thead>
        <tbody>
          {epochs.map((one) => (
            <tr key={one.epoch}>
              <td><a href={link("fairness", one.epoch)}>{written(one.epoch)}</a> <small class="quiet wide-only"><When at={one.ends} /></small></td>
              <td class="number">{shown(one.paid, language())}</td>
              <td class="number">{percent(one.incomeGiniPpm)}</td>
              <td class="number wide-only">{one.drift === null || one.drift.incomeGiniPpm === null ? "–" : say(texts.points, { points: points(one.drift.incomeGiniPpm) })}</td>
              <td class="number wide-only">{written(one.accounts)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function One({ epoch }: { epoch: number }) {
  const asked = useAnswer<Report>(`/fairness/${epoch}`);
  const drift = useAnswer<Drift>(`/fairness/${epoch}/drift`);
  return (
    <>
      <Heading title={say(texts.epoch, { epoch: written(epoch) })}>
        <span class="neighbours">
          <a class="button" href={link("fairness")}>{say(texts.all)}</a>
          {epoch > 1 && <a class="button" href={link("fairness", epoch - 1)}>{say(texts.earlier)}</a>}
          <a class="button" href={link("fairness", epoch + 1)}>{say(texts.later)}</a>
        </span>
      </Heading>
      <Answered of={asked}>{(report) => <Told of={report} drift={drift.answer ?? null} />}</Answered>
    </>
  );
}

/** `drift` is null where the node lacks the reports of epochs before, and until it is there. */
function Told({ of: report, drift }: { of: Report; drift: Drift | null }) {
  const { firstHeight, lastHeight, begins, ends, income, balances, validators } = report;
  const headline = {
    ...report,
    incomeGiniPpm: income.giniPpm,
    incomeTopSharePpm: income.topSharePpm,
    balancesGiniPpm: balances.giniPpm,
    newcomersSharePpm: report.newcomers.sharePpm,
    drift,
  };
  return (
    <>
      <p class="quiet">{say(texts.heights, { first: written(firstHeight), last: written(lastHeight), begins: dateAndTime(begins), ends: dateAndTime(ends) })}</p>
      <Card title={say(texts.inShort)}>
        <InShort of={headline} />
        <Facts
          of={[
            [say(texts.paid), <Step amount={report.paid} />],
            [say(texts.proofs), written(report.proofs)],
            [say(texts.accounts), written(report.accounts)],
            [say(texts.incomeGini), percent(income.giniPpm)],
            [say(texts.drift), compared(drift)],
            [say(texts.topShare), percent(income.topSharePpm)],
            [say(texts.balancesGini), percent(balances.giniPpm)],
          ]}
        />
        <p class="quiet">{say(texts.giniHow)}</p>
      </Card>
      <div class="shares">
        <Shares of={report} />
      </div>
      <Card title={say(texts.validators)}>
        <p>{say(texts.nakamoto, { votes: written(validators.votesNakamoto), stake: written(validators.stakeNakamoto) })}</p>
        <Validators of={report} />
      </Card>
      <p class="quiet">
        {say(texts.countItself)} <Id text={reportHash(report)} whole copies />
      </p>
    </>
  );
}

function Shares({ of: { tiers, regions, levels, newcomers, others } }: { of: Report }) {
  const counted = ({ accounts }: AccountsPart) => `${say(texts.accounts)}: ${written(accounts)}`;
  const proofs = (count: number) => `${say(texts.proofs)}: ${written(count)}`;
  const filled = tiers.filter(({ accounts }) => accounts > 0);
  return (
    <>
      <Card title={say(texts.byTier)}>
        <Bars label={say(texts.byTier)} bars={filled.map((tier) => ({ ...tier, name: tierName(tier.fromBalance, tier.belowBalance), note: counted(tier) }))} />
      </Card>
      <Card title={say(texts.newAndOthers)}>
        <Bars
          label={say(texts.newAndOthers)}
          bars={[
            { ...newcomers, name: say(texts.newcomers), note: counted(newcomers) },
            { ...others, name: say(texts.others), note: counted(others) },
          ]}
        />
      </Card>
      <Card title={say(texts.byLevel)}>
        <Bars label={say(texts.byLevel)} bars={levels.map((one) => ({ ...one, name: levelName(one.level), note: proofs(one.proofs) }))} />
      </Card>
      <Card title={say(texts.byRegion)}>
        <Bars label={say(texts.byRegion)} bars={regions.map((one) => ({ ...one, name: regionName(one.triangleId), to: link("triangle", one.triangleId), note: proofs(one.proofs) }))} />
        <p class="quiet">{say(texts.regionHow)}</p>
      </Card>
    </>
  );
}

function Validators({ of: { validators } }: { of: Report }) {
  return (
    <>
      <h3>{say(texts.rewards)}</h3>
      <Bars
        label={say(texts.rewards)}
        bars={validators.members.map((one) => ({ name: shortened(one.validator), to: link("validator", one.validator), sharePpm: one.rewardsSharePpm, paid: one.rewards }))}
      />
      <div class="scrolls">
        <table>
          <thead>
            <tr>
              <th scope="col">{say(texts.validator)}</th>
              <th scope="col" class="number">{say(texts.stakeShare)}</th>
              <th scope="col" class="number">{say(texts.absences)}</th>
            </tr>
          </thead>
          <tbody>
            {validators.members.map((one) => (
              <tr key={one.validator}>
                <td><Id text={one.validator} to={link("validator", one.validator)} /></td>
                <td class="number">{percent(one.stakeSharePpm)}</td>
                <td class="number">{say(texts.absencesOf, { absences: written(one.absences), batches: written(one.batches) })}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function tierName(from: string, below: string | null): string {
  // Powers of ten, which are exact.
  const write = (amount: string) => written(Number(amount), PLACES);
  if (below === null) return say(texts.tierFrom, { from: write(from) });
  if (Number(from) === 0) return say(texts.tierNothing);
  if (Number(from) === LEAST) return say(texts.tierBelow, { below: write(below) });
  return say(texts.tierBetween, { from: write(from), below: write(below) });
}

function compared(drift: Drift | null): string {
  if (drift === null || drift.incomeGiniPpm === null) return say(texts.noDrift);
  const size = points(Math.abs(drift.incomeGiniPpm)).replace("+", "");
  const told = size === "0" ? texts.asUneven : drift.incomeGiniPpm > 0 ? texts.moreUneven : texts.lessUneven;
  return say(told, { points: size, epochs: written(drift.comparedEpochs) });
}

function levelName(level: number): string {
  return say(texts.level, { level, side: length(LEVEL_1_SIDE_M / 2 ** (level - 1)) });
}

/** Its letter and what is near its middle: "D, with Adelaide and Sydney", or where that is. What is no triangle is shown as it is. */
function regionName(triangleId: string): string {
  try {
    const face = triangleText(parseTriangle(triangleId)).split(":")[1]![0]!;
    const [one, other] = citiesIn(triangleId, language());
    if (one) return say(texts.regionOf, { face, cities: other ? say(texts.and, { one: one.name, other: other.name }) : one.name });
    const [lon, lat] = centroid(triangleId);
    const degrees = (angle: number) => Math.abs(Math.round(angle));
    const [south, west] = [lat < 0 ? texts.south : texts.north, lon < 0 ? texts.west : texts.east];
    return say(texts.region, { face, lat: say(south, { degrees: degrees(lat) }), lon: say(west, { degrees: degrees(lon) }) });
  } catch (error) {
    if (error instanceof RangeError) return triangleId.slice(0, ID_CHARACTERS_MAX);
    throw error;
  }
}
