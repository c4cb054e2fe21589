// The operator's view: how the node that serves this page is. It only reads, and asks only that node.
import { useMemo } from "preact/hooks";
import { node } from "../../texts/node.ts";
import { shell } from "../../texts/shell.ts";
import { Id } from "../../shell/ids.tsx";
import { link } from "../../shell/router.ts";
import { say } from "../../shell/texts.ts";
import { When } from "../../shell/when.tsx";
import type { Consensus, Health, Peer, Status } from "./answers.ts";
import { ConsensusNow } from "./consensus.tsx";
import { useHere, type Here } from "./here.ts";
import { LoadCurves } from "./load.tsx";
import { Silent } from "./silent.tsx";

const CONSENSUS_MS = 1_000;
const STATUS_MS = 3_000;
const DOWN = 503;

export default function Node() {
  const status = useHere<Status>("/status", STATUS_MS);
  // A node that is down says why in the answer that says so.
  const health = useHere<Health>("/health", STATUS_MS, (code) => code === 200 || code === DOWN);
  const consensus = useHere<Consensus>("/consensus", CONSENSUS_MS);
  // They change every quarter of a minute, and what is above them every second.
  const load = useMemo(() => <LoadCurves />, []);
  return (
    <div class="operators">
      <h1>{say(node.title)}</h1>
      <p class="quiet">{say(node.readOnly)}</p>
      <Silent of={status} title={say(shell.node)} />
      {status.refused && !status.isSilent && <p class="card warn" role="alert">{say(node.refused, { message: status.refused.message })}</p>}
      <div class="cards">
        <section class="card">
          <h2>{say(node.health)}</h2>
          {health.answer ? <HealthNow health={health.answer} syncing={status.answer?.syncing ?? false} /> : <Waiting of={health} />}
          <p><a href={link("guardrails")}>{say(node.guardrails)}</a></p>
        </section>
        <section class="card">
          <h2>{say(node.about)}</h2>
          {status.answer ? <About status={status.answer} consensus={consensus.answer} /> : <Waiting of={status} />}
        </section>
      </div>
      <section class="card">
        <h2>{say(node.consensus)}</h2>
        {consensus.answer ? <ConsensusNow consensus={consensus.answer} /> : <Waiting of={consensus} />}
      </section>
      {status.answer && (
        <section class="card">
          <h2>{say(node.peers, { count: status.answer.peers.length })}</h2>
          <Peers peers={status.answer.peers} />
        </section>
      )}
      <section aria-labelledby="load">
        <h2 id="load">{say(node.load)}</h2>
        {load}
      </section>
    </div>
  );
}

function Waiting<T>({ of }: { of: Here<T> }) {
  return of.isSilent || of.refused ? <p class="quiet">–</p> : <p role="status">{say(shell.loading)}</p>;
}

function HealthNow({ health, syncing }: { health: Health; syncing: boolean }) {
  const tone = health.status === "ok" ? "good" : health.status === "degraded" ? "warn" : "bad";
  return (
    <div role="status">
      <p class={`verdict ${tone}`}>{say(node[health.status])}</p>
      <p>{say(health.ready ? node.ready : node.notReady)}{syncing && <> {say(node.syncing)}</>}</p>
      {health.reasons.length > 0 && (
        <ul class="reasons">
          {health.reasons.map((reason) => (
            <li key={reason.code}><code>{reason.code}</code> {reason.message}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

function About({ status, consensus }: { status: Status; consensus: Consensus | undefined }) {
  const off = Object.keys(status.switches).filter((name) => !status.switches[name]);
  return (
    <dl class="facts">
      <dt>{say(node.height)}</dt>
      <dd><a href={link("batch", status.height)}>{status.height}</a></dd>
      <dt>{say(node.lastBatch)}</dt>
      <dd>{status.height > 0 ? <When at={status.batchTimestamp} as="ago" /> : "–"}</dd>
      <dt>{say(node.mempool)}</dt>
      <dd>{consensus ? say(node.waiting, { proofs: consensus.waitingProofs, operations: consensus.waitingOperations, evidence: consensus.waitingEvidence }) : status.mempoolProofs}</dd>
      <dt>{say(node.validator)}</dt>
      <dd>{status.validatorAddress ? <Id text={status.validatorAddress} to={link("validator", status.validatorAddress)} copies /> : say(node.observer)}</dd>
      <dt>{say(node.version)}</dt>
      <dd>{say(node.versionOf, { version: status.version, commit: status.commit.slice(0, 12) })}</dd>
      <dt>{say(node.rules)}</dt>
      <dd>{say(node.rulesOf, { inForce: status.protocolVersion, known: status.knownProtocolVersions.join(", ") })}</dd>
      <dt>{say(node.chain)}</dt>
      <dd>{status.chainId}</dd>
      <dt>{say(node.genesis)}</dt>
      <dd><Id text={status.genesisHash} copies /></dd>
      <dt>{say(node.peerId)}</dt>
      <dd><Id text={status.peerId} copies /></dd>
      <dt>{say(node.store)}</dt>
      <dd><a href={link("batch", status.earliestHeight)}>{status.earliestHeight}</a></dd>
      <dt>{say(node.histories)}</dt>
      <dd>{status.historiesFrom}</dd>
      <dt>{say(node.switches)}</dt>
      <dd>{off.length ? <span class="warn">{off.join(", ")}</span> : say(node.noneOff)}</dd>
    </dl>
  );
}

function Peers({ peers }: { peers: readonly Peer[] }) {
  if (peers.length === 0) return <p class="warn">{say(node.noPeers)}</p>;
  return (
    <div class="scrolls" tabIndex={0} role="region" aria-label={say(node.peers, { count: peers.length })}>
      <table>
        <thead>
          <tr>
            <th scope="col">{say(node.peer)}</th>
            <th scope="col">{say(node.validator)}</th>
            <th scope="col" class="number">{say(node.height)}</th>
            <th scope="col">{say(node.version)}</th>
            <th scope="col">{say(node.address)}</th>
            <th scope="col">{say(node.direction)}</th>
          </tr>
        </thead>
        <tbody>
          {peers.map((peer) => (
            <tr key={peer.peerId}>
              <td><Id text={peer.peerId} /></td>
              <td>{peer.validator ? <Id text={peer.validator} to={link("validator", peer.validator)} /> : "–"}</td>
              <td class="number">{peer.height ?? "–"}</td>
              <td>{peer.version ?? <span class="quiet">{say(node.notGreeted)}</span>}</td>
              <td class="mono">{peer.address}</td>
              <td>{say(node[peer.direction])}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
