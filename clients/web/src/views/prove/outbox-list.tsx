// The proofs that were signed on this device: where each is on its way, and what to do where it has ended badly.
import { shown } from "../../shell/amounts.ts";
import { Id } from "../../shell/ids.tsx";
import { Notice } from "../../shell/notice.tsx";
import { link } from "../../shell/router.ts";
import { language, say, type Text } from "../../shell/texts.ts";
import { timeOfDay } from "../../shell/times.ts";
import { When } from "../../shell/when.tsx";
import { prove } from "../../texts/prove.ts";
import { inOrder, isDecided, timeOf, type Entry } from "../../proving/queue.ts";
import type { Outbox } from "../../proving/outbox.ts";

interface Props {
  outbox: Outbox;
  /** Until when a node takes one in, by the device's clock. */
  validUntil: (entry: Entry) => number;
  now: number;
  /** Those that became final while somebody looked. */
  celebrated: ReadonlySet<string>;
  /** Whose proofs can be signed again here. */
  account: string | null;
  onInstead: (entry: Entry, level: number) => void;
  onSeen: (entry: Entry) => void;
}

export function OutboxList({ outbox, account, onInstead, onSeen, validUntil, now, celebrated }: Props) {
  const newestFirst = inOrder(outbox.entries).reverse();
  return (
    <section class="card" aria-labelledby="yours-title">
      <h2 id="yours-title">{say(prove.yours)}</h2>
      {newestFirst.length === 0 && <p class="quiet">{say(prove.none)}</p>}
      <ol class="outbox" aria-live="polite">
        {newestFirst.map((entry) => (
          <li key={entry.id} data-state={stateOf(entry, outbox)} class={celebrated.has(entry.id) ? "celebrated" : ""}>
            <div class="outbox-head">
              <Badge entry={entry} outbox={outbox} />
              <When at={timeOf(entry)} />
              {entry.isSimulated && <span class="badge warn">{say(prove.simulated)}</span>}
              <Id text={entry.id} to={link("proof", entry.id)} />
            </div>
            <More entry={entry} isTooLate={now > validUntil(entry)} until={validUntil(entry)} isOwn={entry.signed.payload.account === account} onInstead={onInstead} />
            {isDecided(entry) && (
              <button type="button" class="quiet small" onClick={() => onSeen(entry)} aria-label={say(prove.seenOf, { time: timeOfDay(timeOf(entry)) })}>
                {say(prove.seen)}
              </button>
            )}
          </li>
        ))}
      </ol>
      <p>
        <a href={link("receipt")}>{say(prove.receipts)}</a>
      </p>
    </section>
  );
}

interface MoreProps {
  entry: Entry;
  isTooLate: boolean;
  until: number;
  isOwn: boolean;
  onInstead: Props["onInstead"];
}

function More({ entry, isTooLate, until, isOwn, onInstead }: MoreProps) {
  const { id, state, reward, refusal } = entry;
  if (state === "final" && reward) {
    return (
      <>
        <p class="reward good">
          <Spark /> <strong>+{shown(reward.reward, language())}</strong> STEP
        </p>
        <p>
          {say(prove.finalAtHeight, { height: reward.height, clicks: reward.clicks })} {say(prove.youHave, { balance: shown(reward.balance, language()) })}{" "}
          <a href={link("receipt", id)}>{say(prove.receipt)}</a>
        </p>
      </>
    );
  }
  if (state === "accepted") return <p class="quiet">{say(prove.acceptedMore)}</p>;
  if (state === "expired") return <p>{say(prove.expiredMore)}</p>;
  const text = isTooLate ? say(prove.maybeTooLate) : say(prove.waitingUntil, { time: timeOfDay(until) });
  return (
    <>
      {state === "waiting" && <p class="quiet">{text}</p>}
      {refusal && <Notice error={refusal} {...(isOwn && !isTooLate && { onInstead: ({ level }) => onInstead(entry, level) })} />}
    </>
  );
}

function Badge({ entry, outbox }: { entry: Entry; outbox: Outbox }) {
  const state = stateOf(entry, outbox);
  return <span class={`badge ${LOOKS[state]}`}>{say(NAMES[state])}</span>;
}

function stateOf(entry: Entry, { sendingId }: Outbox): keyof typeof NAMES {
  return entry.id === sendingId && entry.state === "waiting" ? "sending" : entry.state;
}

const NAMES = {
  waiting: prove.waiting,
  sending: prove.sending,
  accepted: prove.accepted,
  final: prove.final,
  refused: prove.refused,
  expired: prove.expired,
} as const satisfies Record<string, Text>;

const LOOKS = { waiting: "warn", sending: "quiet", accepted: "quiet", final: "good", refused: "bad", expired: "bad" } as const;

/** A triangle that lights up. */
function Spark() {
  return (
    <svg class="spark" viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
      <path d="M12 3 21.5 20h-19Z" />
      <path class="spark-tick" d="m8.5 14 2.5 2.6 4.5-5" />
    </svg>
  );
}
