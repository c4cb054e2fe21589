"""Rules that change while a network is played with: the validators' approval, and whether all nodes changed at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import trio

from mesh import TriangleId
from step_node.amounts import step_text
from step_node.ledger.rules import RULES
from step_node.operations.client_signing import approve_upgrade
from step_node.operations.json_form import name_of, operation_json
from step_node.signing.keystore import load_keystore
from step_node.testing.devnet.network import Devnet
from step_node.testing.devnet.node_client import NodeClient

AGREED_SECONDS_MAX = 60.0
POLL_SECONDS = 0.1
PROBLEMS_SHOWN_MAX = 3


async def agree_on(devnet: Devnet, version: int, release: str) -> int:
    """Have a quorum of the validators approve `version`, by their hot keys; the height that it is agreed on for.

    Raises TooSlowError if it does not come to that.
    """
    client = devnet.clients[0]
    asked = await client.get("/upgrade")
    # An epoch more than is needed: while the approvals are on their way, the one that is may end.
    height = int(asked["firstPossibleHeight"]) + int(asked["epochBatches"])
    quorum = -(-2 * len(devnet.nodes) // 3)
    for node, validator in list(zip(devnet.nodes, devnet.genesis.validators, strict=True))[:quorum]:
        password = node.home.password.read_text(encoding="utf-8").strip()
        key = await trio.to_thread.run_sync(load_keystore, node.home.validator_keystore, password)
        account = await client.get(f"/account/{validator.owner or validator.address}")
        operation = approve_upgrade(
            key=key,
            owner=bytes.fromhex((validator.owner or validator.address)[2:]),
            chain_id=devnet.genesis.chain_id,
            sequence=int(account["nextSequence"]),
            validator=bytes.fromhex(validator.address[2:]),
            protocol_version=version,
            activation_height=height,
            release=release,
        )
        await client.post(f"/validator/{name_of(operation)}", operation_json(operation))
    with trio.fail_after(AGREED_SECONDS_MAX):
        while (await client.get("/upgrade"))["agreed"] is None:
            await trio.sleep(POLL_SECONDS)
    return height


@dataclass(frozen=True, slots=True)
class RulesCheck:
    """From which height on each version held, and what was not as those rules say."""

    changed_at: dict[int, int]
    problems: tuple[str, ...]


async def check_rules(clients: Sequence[NodeClient], proof_ids: Sequence[str], *, version: int) -> RulesCheck:
    """Whether `version` came into force at one height on all nodes, and each proof was paid by the rules of its height.

    Raises Unavailable.
    """
    problems: list[str] = []
    firsts: list[dict[int, int]] = []
    for index, client in enumerate(clients):
        firsts.append(await _first_heights(client))
        if version not in firsts[-1]:
            problems.append(f"node {index}: no batch is by version {version}")
        if firsts[-1] != firsts[0]:
            problems.append(f"node {index}: versions began at {firsts[-1]}, on node 0 at {firsts[0]}")
        in_force = (await client.get("/upgrade"))["inForce"]
        if (in_force["protocolVersion"], in_force["activationHeight"]) != (version, firsts[-1].get(version)):
            problems.append(f"node {index}: says that {in_force} is in force, and its batches began at {firsts[-1]}")
    paid_otherwise, by_version = [], dict.fromkeys(firsts[0], 0)
    for proof_id in proof_ids:
        paid = await clients[0].get(f"/proof/status/{proof_id}")
        of_height = max(one for one, first in firsts[0].items() if first <= int(paid["height"]))
        by_version[of_height] += 1
        level = TriangleId.parse(str(paid["triangleId"])).level
        reward = step_text(RULES[of_height].proof_reward_ustep(level, int(paid["clicks"])))
        if paid["reward"] != reward:
            paid_otherwise.append(f"{proof_id} {paid['reward']} instead of {reward}")
    if paid_otherwise:
        problems.append(
            f"{len(paid_otherwise)} proofs were paid otherwise than their height's rules say, such as"
            f" {paid_otherwise[:PROBLEMS_SHOWN_MAX]}"
        )
    problems += [f"no proof was final under version {one}" for one, count in by_version.items() if not count]
    return RulesCheck(firsts[0], tuple(problems))


async def _first_heights(client: NodeClient) -> dict[int, int]:
    """The first height of each version in the headers of a node's batches, which must have rising ones."""
    found: dict[int, int] = {}
    latest = int((await client.get("/status"))["height"])
    for height in range(1, latest + 1):
        header: dict[str, Any] = (await client.get(f"/batch/{height}"))["header"]
        found.setdefault(int(header["protocolVersion"]), height)
    return found
