// What a person should know on whichever page: no connection, a new version, a node of another chain.
import { shell } from "../texts/shell.ts";
import { forgetChain, useStrangers } from "./node.ts";
import { HOME_NODE } from "./nodes.ts";
import { useOnline } from "./online.ts";
import type { Stranger } from "./same-chain.ts";
import { shortened } from "./shortened.ts";
import { say } from "./texts.ts";
import { update, useUpdate } from "./worker.ts";

export function News() {
  const isOnline = useOnline();
  const hasUpdate = useUpdate();
  const others = useStrangers().filter(({ node }) => node !== HOME_NODE);
  return (
    <div role="status" class="news">
      {!isOnline && <p>{say(shell.offline)}</p>}
      {hasUpdate && (
        <p>
          {say(shell.newVersion)}{" "}
          <button type="button" onClick={update}>
            {say(shell.reload)}
          </button>
        </p>
      )}
      {others.map(({ node, chain }) => (
        <p key={node}>{say(shell.otherChainElsewhere, { node, chain: chain.chainId })}</p>
      ))}
    </div>
  );
}

/** Instead of every page, where the node that served the app is of another chain than the one that the app knows. */
export function WrongChain({ stranger: { chain, known } }: { stranger: Stranger }) {
  const change = async () => {
    await forgetChain();
    location.reload();
  };
  return (
    <section class="card">
      <h1>{say(shell.otherChain)}</h1>
      <p>{say(shell.otherChainTold, { known: known.chainId, chain: chain.chainId })}</p>
      <dl class="facts">
        <dt>{say(shell.knownChain)}</dt>
        <dd>
          {known.chainId} <span class="mono quiet">{shortened(known.genesisHash)}</span>
        </dd>
        <dt>{say(shell.thisChain)}</dt>
        <dd>
          {chain.chainId} <span class="mono quiet">{shortened(chain.genesisHash)}</span>
        </dd>
      </dl>
      <p>{say(shell.otherChainAdvice)}</p>
      <button type="button" class="main" onClick={() => void change()}>
        {say(shell.goOnWith, { chain: chain.chainId })}
      </button>
    </section>
  );
}
