"""Have walkers prove where they are to a network that runs already, and compare its nodes: `make compose-check` does.

    python scripts/prove_network.py --proofs 50 http://127.0.0.1:8600 http://127.0.0.1:8601

Prints one JSON object; exit status 0 only if every proof is final on every node, with equal state roots.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import AsyncExitStack

import httpx
import trio

from step_node.parameters import Parameters
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.node_client import NodeClient
from step_node.testing.devnet.walkers import Walkers


async def prove(urls: list[str], proofs: int) -> bool:
    """Submit `proofs` proofs, spread over the nodes at `urls`, and print what became of them."""
    async with AsyncExitStack() as stack:
        clients = [NodeClient(await stack.enter_async_context(httpx.AsyncClient(trust_env=False)), url) for url in urls]
        result = await Walkers(clients, Parameters(), proofs=proofs).run()
        agreement = await check_agreement(clients, [record.proof_id for record in result.final])
    summary = {
        "submitted": len(result.records),
        "finalised": len(result.final) if agreement.missing == 0 else len(result.final) - agreement.missing,
        "rejected": result.rejected_by_code(),
        "height": agreement.height,
        "state_roots_equal": agreement.state_roots_equal,
        "validators": len(urls),
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return len(result.final) == proofs and agreement.missing == 0 and agreement.state_roots_equal


def main() -> None:
    """Read the arguments, and exit with 0 or 1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("urls", nargs="+", metavar="URL", help="the nodes' APIs")
    parser.add_argument("--proofs", type=int, default=50)
    arguments = parser.parse_args()
    sys.exit(0 if trio.run(prove, arguments.urls, arguments.proofs) else 1)


if __name__ == "__main__":
    main()
