// Where am I, what does the triangle here pay, prove it, and what became of it.
import { StepError } from "step-client/errors.js";
import { useEffect, useRef, useState } from "preact/hooks";
import { shown } from "../../shell/amounts.ts";
import { useEvents } from "../../shell/feed.ts";
import { Id } from "../../shell/ids.tsx";
import { useAnswer, client } from "../../shell/node.ts";
import { Notice } from "../../shell/notice.tsx";
import { link, type Place } from "../../shell/router.ts";
import { language, say } from "../../shell/texts.ts";
import { useNow } from "../../shell/when.tsx";
import { prove } from "../../texts/prove.ts";
import { walletFaults } from "../../texts/wallet-faults.ts";
import { useHere } from "../../proving/here.ts";
import { dismiss, put, start, useOutbox } from "../../proving/outbox.ts";
import { preload } from "../../proving/preload.ts";
import { signalOf } from "../../proving/position.ts";
import { isDecided, lastOf, timeOf, validUntil, type Entry } from "../../proving/queue.ts";
import { readiness, type LastProof } from "../../proving/readiness.ts";
import { isDevnet, useRules } from "../../proving/rules.ts";
import { signInstead, signVisit, type Visit } from "../../proving/signing.ts";
import { placeOfText, watchAt, type Point } from "../../proving/simulated.ts";
import { useOnline } from "../../shell/online.ts";
import { usePermission, useWatch } from "../../proving/watch.ts";
import { signer, useAccount } from "../../wallet/accounts.ts";
import { WalletError } from "../../wallet/faults.ts";
import { OutboxList } from "./outbox-list.tsx";
import { PlaceCard } from "./place-card.tsx";
import { TriangleCard } from "./triangle-card.tsx";
import { Simulate } from "./simulate.tsx";

/** Until a node has told, or what was kept: what every chain has had so far (docs/protocol.md §2). */
const ACCURACY_M_MAX = 50;

interface LedgerAccount {
  balance: string;
  lastProof: { timestamp: string; lat: number; lon: number } | null;
}

export default function Prove({ place }: { place: Place }) {
  const now = useNow(1_000);
  const rules = useRules();
  const isOnline = useOnline();
  const outbox = useOutbox();
  const account = useAccount();
  const address = account?.address ?? null;
  const ledger = useAnswer<LedgerAccount>(address && `/account/${address}`);
  const clockOffsetMs = useClockOffset(now);
  useEffect(start, []);
  useEffect(() => {
    if (account) void preload(account);
  }, [address]);

  useEvents(["operation_applied"], ({ kind, data }) => {
    // Not at each operation of anybody: a busy chain has many a second.
    if (kind === "gap" || (address && JSON.stringify(data).includes(address))) ledger.again();
  });

  const canSimulate = rules !== undefined && isDevnet(rules.CHAIN_ID);
  const [simulated, setSimulated] = useState<Point | null>(() => pointOf(place));
  const isSimulated = simulated !== null && canSimulate;
  const permission = usePermission();
  const [isAsked, setAsked] = useState(false);
  const isWatching = !isSimulated && permission !== undefined && (isAsked || permission !== "prompt" || !isSecureContext);
  const receiver = useWatch(isWatching, permission);
  const watch = isSimulated ? watchAt(simulated, now) : receiver;
  const limitM = rules?.GPS_MAX_ACCURACY_M ?? ACCURACY_M_MAX;
  const signal = signalOf(watch, now, limitM);
  const known = "heard" in signal && signal.kind !== "old" ? signal.heard.fix : undefined;
  const point = known && { lat: known.lat, lon: known.lon };
  const asked = useHere(point);
  // What became final is in the balance, and counts in the triangle.
  const finals = outbox.entries.filter(({ state }) => state === "final").length;
  useEffect(() => {
    ledger.again();
    asked.again();
  }, [finals]);

  const last = lastProofOf(address && lastOf(outbox.entries, address), ledger.answer?.lastProof ?? null);
  const when = rules && point ? readiness(last, point, rules) : { fromMs: null, because: null };
  const visit: Visit | null =
    signal.kind === "good" && point ? { ...point, accuracy: signal.heard.fix.accuracy, measuredAtMs: signal.heard.measuredAtMs, isSimulated } : null;
  // What counts is when the position was measured, not when it is signed.
  const isTime = visit !== null && (when.fromMs === null || visit.measuredAtMs + clockOffsetMs >= when.fromMs);

  const [isSigning, setSigning] = useState(false);
  const [fault, setFault] = useState<StepError | WalletError>();
  const sign = async (make: () => Promise<Entry>, inPlaceOf?: Entry) => {
    setFault(undefined);
    setSigning(true);
    try {
      await put(await make());
      if (inPlaceOf) await dismiss(inPlaceOf.id);
    } catch (error) {
      if (!(error instanceof StepError || error instanceof WalletError)) throw error;
      setFault(error);
    } finally {
      setSigning(false);
    }
  };
  const level = asked.here?.level;
  const celebrated = useCelebrated(outbox.entries);

  return (
    <>
      <h1>{say(prove.title)}</h1>
      {!isOnline && rules && <p class="card warn" role="status">{say(prove.offline, { minutes: Math.floor(rules.PROOF_MAX_AGE_MS / 60_000) })}</p>}
      <div class="cards">
        <PlaceCard signal={signal} limitM={limitM} isSimulated={isSimulated} onFind={isWatching || isSimulated || !permission ? undefined : () => setAsked(true)} />
        {rules ? (
          <TriangleCard {...{ asked, rules, point, last, when, isTime, isOnline, clockOffsetMs }} nowMs={now + clockOffsetMs}>
            {account === null && (
              <>
                <p>{say(prove.noAccount)}</p>
                <p>
                  <a class="button main" href={link("wallet")}>{say(prove.toWallet)}</a>
                </p>
              </>
            )}
            {address && (
              <>
                <button
                  type="button"
                  class="main large"
                  disabled={isSigning || !isTime || level === undefined || !visit}
                  onClick={() => void sign(async () => signVisit(await signer(), visit!, level!, rules))}
                >
                  {say(isSigning ? prove.signing : prove.proveNow)}
                </button>
                <p class="quiet">
                  {say(prove.account)} <Id text={address} to={link("account", address)} />
                  {ledger.answer && ` · ${say(prove.balance)} ${shown(ledger.answer.balance, language())} STEP`}
                </p>
              </>
            )}
            {fault instanceof WalletError && <p role="alert" class="bad">{say(walletFaults[fault.code])}</p>}
            {fault instanceof StepError && <Notice error={fault} />}
          </TriangleCard>
        ) : (
          <section class="card quiet">{say(prove.rulesUnknown)}</section>
        )}
      </div>
      <OutboxList
        outbox={outbox}
        account={address}
        now={now}
        celebrated={celebrated}
        validUntil={(entry) => (rules ? validUntil(entry, rules) - clockOffsetMs : Infinity)}
        onInstead={(entry, instead) => void sign(async () => signInstead(await signer(), entry, instead, rules!), entry)}
        onSeen={({ id }) => void dismiss(id)}
      />
      {canSimulate && <Simulate at={simulated} onMove={setSimulated} />}
    </>
  );
}

/** The later of what is final and of what this device has signed since. */
function lastProofOf(entry: Entry | undefined | null | "", final: LedgerAccount["lastProof"]): LastProof | null {
  const ofLedger = final && { lat: final.lat, lon: final.lon, timestampMs: Date.parse(final.timestamp) };
  if (!entry) return ofLedger;
  const { lat, lon } = entry.signed.payload;
  const ofDevice = { lat, lon, timestampMs: timeOf(entry) };
  return ofLedger && ofLedger.timestampMs > ofDevice.timestampMs ? ofLedger : ofDevice;
}

/** `#/prove?lat=47.3769&lon=8.5417`: a made-up position, where the chain allows one. */
function pointOf({ query }: Place): Point | null {
  return placeOfText(query.get("lat") ?? "", query.get("lon") ?? "");
}

/** Known once the client has asked for the rules. */
function useClockOffset(now: number): number {
  const [offsetMs, setOffsetMs] = useState(0);
  useEffect(() => void client().then(({ clockOffsetMs }) => setOffsetMs(clockOffsetMs)), [now]);
  return offsetMs;
}

/** Those that have become final since the page was opened. */
function useCelebrated(entries: readonly Entry[]): ReadonlySet<string> {
  const open = useRef(new Set<string>());
  const final = useRef(new Set<string>());
  for (const entry of entries) {
    if (!isDecided(entry)) open.current.add(entry.id);
    else if (entry.state === "final" && open.current.has(entry.id)) final.current.add(entry.id);
  }
  return final.current;
}
