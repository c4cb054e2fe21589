"""Each procedure of docs/operators.md, and those after a jail, by their own commands, with real processes under load.

What must hold after each: nobody has contradicted himself, the chain goes on, and the validator's signatures are in its
commits (or no more, if it has left).
"""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import trio

from p2p.libp2p_host import peer_id_of
from step_node.clock import SystemClock
from step_node.home.paths import NodeHome
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.proofs.timestamps import format_timestamp
from step_node.signing.guard import SigningGuard
from step_node.signing.history import SigningKind
from step_node.signing.key_file import load_key_file
from step_node.signing.keystore import keystore_address
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.misbehaviour import Misbehaviour
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import NodeClient
from step_node.testing.devnet.ports import LOOPBACK, NodePorts, free_ports
from step_node.testing.devnet.verdict import metric_sum
from step_node.testing.devnet.walkers import Walkers
from tests.support.operator import LIFE_PAGE, Machine, blocks_under, names_of_the_page
from tests.support.signatures import contradictions, signed_in

LONGEST_SECONDS = 900.0
AGREEMENT_SECONDS = 300.0
"""On a busy machine a node may take many seconds to answer for fifty proofs."""
POLL_SECONDS = 0.1
COMMAND_MS_MAX = 20_000
"""How long a command may take on a slow machine."""
PASSWORD = "the password of all keystores of a test"
OWNERS_STEP = 1_000_000
"""What the owner of all validators has at genesis besides their stakes."""
STAKE_STEP = 100_000
GOES_ON_BATCHES = 3
GONE_BATCHES = 3
EQUIVOCATIONS = "step_equivocations_seen_total"
FAULTS = (EQUIVOCATIONS, "step_double_signs_refused_total", "step_forks_seen_total")
JAIL_SWIFT = Parameters(
    batch_interval_ms=100,
    timeout_propose_ms=1_000,
    timeout_pre_vote_ms=500,
    timeout_pre_commit_ms=300,
    timeout_delta_ms=200,
    epoch_batches=15,
    offline_ms=1_000,
    jail_ms=10_000,
)
"""Away for 100 batches in some ten seconds, and in jail for as long."""

LEAVING = "Leave"
REJOINING = "Come back from jail"
"""These two of the page about a validator's life, which tests/guides/test_becoming_a_validator.py follows whole."""
BACKUP = "Backup"
MOVING = "Moving a validator to another machine"
RESTORING = "Restoring a validator from its keys alone"
REBUILDING = "Rebuilding a store"
CHANGING_ADDRESS = "Changing a validator's address"


class Network:
    """Four validators that belong to one owner, walkers that keep batches coming, and the nodes that others run.

    `urls` are the APIs of all nodes that run and shall agree, by a name for each.
    """

    def __init__(self, devnet: Devnet, http: httpx.AsyncClient, walkers: Walkers) -> None:
        self.devnet = devnet
        self.walkers = walkers
        self.urls = {f"node{index}": url for index, url in enumerate(devnet.urls)}
        self._http = http
        self._equivocations_known: dict[str, float] = {}

    @property
    def names(self) -> dict[str, str]:
        """Those of the page that are the same for every operator here. Node 0 is the one that everybody may ask."""
        return {
            "URL": self.devnet.node_url(0),
            "OTHER": self.devnet.node_url(0),
        }

    async def get(self, path: str, *, url: str | None = None) -> dict[str, Any]:
        """What the API at `url` (by default node 0's) answers; {} while it does not."""
        with suppress(httpx.HTTPError, ValueError):
            response = await self._http.get((url or self.urls["node0"]) + path)
            answer: dict[str, Any] = response.json()
            return answer if response.status_code == 200 else {}
        return {}

    async def height(self, url: str | None = None) -> int:
        """-1 while the node does not answer."""
        return int((await self.get("/status", url=url)).get("height", -1))

    async def until_height(self, height: int, *, url: str | None = None) -> None:
        while await self.height(url) < height:
            await trio.sleep(POLL_SECONDS)

    async def until_caught_up(self, machine: Machine) -> None:
        """What the page has an operator see in `status`: the others' height, and no `syncing`."""
        goal = await self.height()
        while True:
            status = await self.get("/status", url=machine.url)
            if status and status["height"] >= goal and not status["syncing"]:
                return
            await trio.sleep(POLL_SECONDS)

    async def until_state(self, validator: str, state: str) -> None:
        """Asked of the API, which costs less than the page's own command; that comes once, when it is so."""
        while (await self.get(f"/validators/{validator}")).get("validator", {}).get("state") != state:
            await trio.sleep(POLL_SECONDS)

    async def until_health(self, machine: Machine, word: str) -> None:
        while (await self.get("/health", url=machine.url)).get("status") != word:
            await trio.sleep(POLL_SECONDS)

    async def signers(self, height: int) -> set[str]:
        """Whose pre-commits stand in the commits of this height, as the nodes keep them."""
        answers = [await self.get(f"/batch/{height}", url=url) for url in self.urls.values()]
        return {one["validator"] for answer in answers if answer for one in answer["commit"]["signatures"]}

    async def until_it_signs(self, validator: str) -> int:
        """Wait for a commit with the validator's signature, of a height that is not final yet; that height."""
        height = await self.height() + 1
        while True:
            await self.until_height(height)
            if validator in await self.signers(height):
                return height
            height += 1

    async def check_it_signs_no_more(self, validator: str) -> None:
        first = await self.height() + 1
        await self.until_height(first + GONE_BATCHES)
        for height in range(first, first + GONE_BATCHES):
            assert validator not in await self.signers(height)

    async def check_no_fault(self) -> None:
        """No node has seen a contradiction (but those that are known), or kept its own key from one."""
        for name, url in self.urls.items():
            counted = await NodeClient(self._http, url).metrics()
            assert all(f"{fault} " in counted for fault in FAULTS)
            allowed = dict.fromkeys(FAULTS, 0.0) | {EQUIVOCATIONS: self._equivocations_known.get(name, 0.0)}
            assert {fault: metric_sum(counted, fault) for fault in FAULTS} == allowed, name

    async def know_equivocations(self, names: Sequence[str]) -> None:
        """What these nodes have seen of contradictions until the next batch is known, and no fault of what comes."""
        goal = await self.height() + 1
        for name in names:
            await self.until_height(goal, url=self.urls[name])
            counted = await NodeClient(self._http, self.urls[name]).metrics()
            self._equivocations_known[name] = metric_sum(counted, EQUIVOCATIONS)
            assert self._equivocations_known[name]

    async def check_all_is_well(self, *, slashed_for: Sequence[str] = ()) -> None:
        """Nothing was slashed but for this, no node has seen a fault, further batches come, and all agree on all."""
        goal = await self.height() + GOES_ON_BATCHES
        for url in self.urls.values():
            await self.until_height(goal, url=url)
        await self.check_no_fault()
        assert [one["kind"] for one in (await self.get("/evidence"))["slashings"]] == list(slashed_for)
        self.walkers.stop()
        while self.walkers.under_way:
            await trio.sleep(POLL_SECONDS)
        final = [record.proof_id for record in self.walkers.result.final]
        assert final
        clients = [NodeClient(self._http, url) for url in self.urls.values()]
        agreement = await check_agreement(clients, final[-50:], seconds_max=AGREEMENT_SECONDS)
        assert agreement.state_roots_equal
        assert agreement.missing == 0


@asynccontextmanager
async def network_of(
    desk: Machine,
    parameters: Parameters,
    *,
    rate: float,
    store: Literal["sqlite", "mongodb"] = "sqlite",
    byzantine: Misbehaviour | None = None,
) -> AsyncIterator[Network]:
    """Run a network whose validators belong to the owner of `desk`/cold.json; walkers use nodes 0 and 2.

    `byzantine` is how node 3 misbehaves, until it is stopped.
    """
    await desk.follow(["step-node keys new --output cold.json"])
    owner = f"0x{keystore_address(desk.directory / 'cold.json').hex()}"
    settings = DevnetSettings(
        base_port=0,
        parameters=parameters,
        home=desk.directory / "network",
        owner=owner,
        allocations={owner: OWNERS_STEP * USTEP_PER_STEP},
        password=PASSWORD,
        store=store,
        byzantine=byzantine,
    )
    async with (
        Devnet(settings) as devnet,
        httpx.AsyncClient(trust_env=False, timeout=30.0) as http,
        trio.open_nursery() as nursery,
    ):
        walkers = Walkers([devnet.clients[0], devnet.clients[2]], parameters, proofs=100_000, rate=rate)
        nursery.start_soon(walkers.run)
        network = Network(devnet, http, walkers)
        await network.until_height(2)
        yield network
        nursery.cancel_scope.cancel()


def new_ports() -> NodePorts:
    (ports,) = free_ports(1)
    return ports


@asynccontextmanager
async def machine_in(directory: Path) -> AsyncIterator[Machine]:
    """A machine, whose node does not outlive the test."""
    machine = Machine(directory, new_ports(), password=PASSWORD)
    try:
        yield machine
    finally:
        await machine.stop()


async def machine_of(network: Network, index: int, machine: Machine) -> None:
    """Have the operator's `node` on `machine` be node `index`, which is stopped, with the ports that it had."""
    home = network.devnet.nodes[index].home
    await network.devnet.kill(index, signal.SIGTERM)
    machine.home.root.symlink_to(home.root)
    machine.move_to(NodePorts(int(network.devnet.node_url(index).rsplit(":")[-1]), network.devnet.p2p_port(index)))
    machine.names = network.names | {
        "VALIDATOR": address_of(home),
        "ADDRESS": p2p_address_of(machine),
    }


def address_of(home: NodeHome) -> str:
    """Of the validator's key in `home`, as `keys show` prints it."""
    return f"0x{keystore_address(home.validator_keystore).hex()}"


def p2p_address_of(machine: Machine) -> str:
    """Where others reach the machine's node."""
    return f"/ip4/{LOOPBACK}/tcp/{machine.ports.p2p}/p2p/{peer_id_of(load_key_file(machine.home.p2p_key))}"


def check_histories(validator: str, homes: Sequence[NodeHome]) -> None:
    """What the key has signed in all these homes does not contradict itself; and it has signed in each."""
    signed = [signed_in(home.signing_history(bytes.fromhex(validator[2:]))) for home in homes]
    assert all(signed)
    assert contradictions(*signed) == []


def test_a_key_that_has_signed_two_things_in_two_homes_is_found_out(tmp_path: Path) -> None:
    validator = bytes(range(20))
    homes = [NodeHome(tmp_path / name) for name in ("one", "other")]
    for home, pre_vote in zip(homes, (b"a", b"b"), strict=True):
        path = home.signing_history(validator)
        path.parent.mkdir(parents=True)
        with SigningGuard.open(path, chain_id="chain", validator=validator) as guard:
            guard.authorise(7, 0, SigningKind.PROPOSAL, b"the same")
            guard.authorise(7, 0, SigningKind.PRE_VOTE, pre_vote)
    for home in homes:
        check_histories(f"0x{validator.hex()}", [home])
    with pytest.raises(AssertionError):
        check_histories(f"0x{validator.hex()}", homes)
    found = contradictions(*[signed_in(home.signing_history(validator)) for home in homes])
    assert {record.kind for record in found} == {SigningKind.PRE_VOTE}


def test_the_page_says_what_each_name_in_its_commands_is() -> None:
    headings = (BACKUP, MOVING, RESTORING, REBUILDING, CHANGING_ADDRESS)
    commands = "\n".join(command for heading in headings for block in blocks_under(heading) for command in block)
    assert set(re.findall(r"\$\{?(\w+)", commands)) == set(names_of_the_page())


@pytest.mark.long
async def test_a_validator_is_found_at_another_address_once_its_owner_has_said_so(tmp_path: Path) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with (
            machine_in(tmp_path / "desk") as desk,
            network_of(desk, Parameters(batch_interval_ms=300), rate=4) as network,
            machine_in(tmp_path / "operator") as machine,
        ):
            await machine_of(network, 3, machine)
            shutil.copy(desk.directory / "cold.json", machine.directory)
            await change_the_address(network, machine)
            await network.check_all_is_well()


async def change_the_address(network: Network, machine: Machine) -> None:
    say_it, show = blocks_under(CHANGING_ADDRESS)
    machine.move_to(new_ports())
    network.urls["node3"] = machine.url
    machine.names["ADDRESS"] = p2p_address_of(machine)
    await machine.follow(["step-node start --home node"])
    await machine.follow(say_it)
    await machine.look_until(show, "active", machine.names["ADDRESS"])
    await network.until_it_signs(machine.names["VALIDATOR"])
    await network.check_no_fault()


@pytest.mark.long
async def test_an_operators_bad_days_moving_restoring_and_rebuilding(tmp_path: Path) -> None:
    swift = Parameters(batch_interval_ms=300)
    with trio.fail_after(LONGEST_SECONDS):
        async with (
            machine_in(tmp_path / "desk") as desk,
            network_of(desk, swift, rate=4) as network,
            machine_in(tmp_path / "old") as old,
            machine_in(tmp_path / "new") as new,
            machine_in(tmp_path / "newest") as newest,
            machine_in(tmp_path / "other") as other,
        ):
            await machine_of(network, 1, old)
            shutil.copy(desk.directory / "cold.json", old.directory)
            await old.follow(["step-node start --home node"])
            (back_up,) = blocks_under(BACKUP)
            await old.follow(back_up)
            await network.until_it_signs(old.names["VALIDATOR"])
            await move(network, old, new)
            await restore(network, new, newest, backup=old.directory / "backup")
            await rebuild(network, other)
            assert (other.home.old_store(1) / "ledger.sqlite").exists()
            await network.check_all_is_well()
            await newest.stop()
            check_histories(old.names["VALIDATOR"], [machine.home for machine in (old, new, newest)])


async def move(network: Network, old: Machine, new: Machine) -> None:
    pack, unpack = blocks_under(MOVING)
    await old.stop()
    await old.follow(pack)
    shutil.copytree(old.directory / "moving", new.directory / "moving")
    shutil.copy(old.directory / "cold.json", new.directory)
    new.names = dict(old.names)
    # A minute of listening is for people.
    await new.follow(unpack, replaced={"--check-doppelganger 60": "--check-doppelganger 3"})
    network.urls["node1"] = new.url
    await tell_the_address(new)
    await network.until_it_signs(new.names["VALIDATOR"])
    assert "listening for a doppelganger" in new.log
    await network.check_no_fault()


async def tell_the_address(machine: Machine) -> None:
    """The machine's node is found elsewhere than before."""
    say_it, show = blocks_under(CHANGING_ADDRESS)
    machine.names["ADDRESS"] = p2p_address_of(machine)
    await machine.follow(say_it)
    await machine.look_until(show, "active", machine.names["ADDRESS"])


async def restore(network: Network, lost: Machine, machine: Machine, *, backup: Path) -> None:
    (commands,) = blocks_under(RESTORING)
    await lost.stop(signal.SIGKILL)
    shutil.copytree(backup, machine.directory / "backup")
    shutil.copy(lost.directory / "cold.json", machine.directory)
    machine.names = dict(lost.names)
    final = await network.height()
    await machine.follow(commands)
    network.urls["node1"] = machine.url
    await tell_the_address(machine)
    await network.until_it_signs(machine.names["VALIDATOR"])
    await network.until_health(machine, "ok")
    signed = signed_in(machine.home.signing_history(bytes.fromhex(machine.names["VALIDATOR"][2:])))
    assert min(record.height for record in signed) > final
    await network.check_no_fault()
    # The word was said once.
    await machine.stop()
    await machine.follow(["step-node start --home node"])
    await network.until_it_signs(machine.names["VALIDATOR"])


async def rebuild(network: Network, machine: Machine, *, answered: bool = False) -> None:
    """`answered`: nobody is asked, as the machine has no terminal."""
    (commands,) = blocks_under(REBUILDING)
    take_away = commands[0]
    await machine_of(network, 3, machine)
    await machine.follow([commands[-1]])
    refused = await machine.run(f"{take_away} --yes")
    assert "this node home is in use by process" in refused.text, (refused.text, machine.log[-4_000:])
    await machine.stop()
    await machine.follow(commands, replaced={take_away: f"{take_away} --yes"} if answered else None)
    await network.until_caught_up(machine)
    await network.until_it_signs(machine.names["VALIDATOR"])
    await network.check_no_fault()
    # All of the chain is there again; nodes may keep different quorums of its commits.
    fetched, first = await network.get("/batch/1", url=machine.url), await network.get("/batch/1")
    assert fetched.pop("commit")
    assert first.pop("commit")
    assert fetched == first
    check_histories(machine.names["VALIDATOR"], [machine.home])


@pytest.mark.long
async def test_a_store_in_mongodb_is_rebuilt(tmp_path: Path) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with (
            machine_in(tmp_path / "desk") as desk,
            network_of(desk, Parameters(batch_interval_ms=300), rate=4, store="mongodb") as network,
            machine_in(tmp_path / "operator") as machine,
        ):
            await rebuild(network, machine, answered=True)
            assert [path.name for path in machine.home.old_store(1).iterdir()] == ["consensus.log"]
            await network.check_all_is_well()


@pytest.mark.long
async def test_a_validator_that_was_away_too_long_comes_back_from_jail(tmp_path: Path) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with (
            machine_in(tmp_path / "desk") as desk,
            network_of(desk, JAIL_SWIFT, rate=12) as network,
            machine_in(tmp_path / "operator") as machine,
        ):
            await machine_of(network, 3, machine)
            shutil.copy(desk.directory / "cold.json", machine.directory)
            validator = machine.names["VALIDATOR"]
            await network.until_state(validator, "jailed")
            await come_back_from_jail(network, machine, burnt_step=STAKE_STEP // 10)
            await network.check_all_is_well(slashed_for=["OFFLINE"])
            await machine.stop()
            check_histories(validator, [machine.home])


@pytest.mark.long
async def test_the_owner_of_a_validator_in_jail_takes_what_is_left_of_the_stake(tmp_path: Path) -> None:
    # Long enough in jail to be refused once, unless the machine is very slow.
    swift = JAIL_SWIFT.model_copy(update={"jail_ms": 60_000})
    with trio.fail_after(LONGEST_SECONDS):
        async with (
            machine_in(tmp_path / "desk") as desk,
            network_of(desk, swift, rate=12) as network,
            machine_in(tmp_path / "operator") as machine,
        ):
            await machine_of(network, 3, machine)
            shutil.copy(desk.directory / "cold.json", machine.directory)
            await network.until_state(machine.names["VALIDATOR"], "jailed")
            await withdraw_from_jail(network, machine, left_step=STAKE_STEP - STAKE_STEP // 10)
            await network.check_all_is_well(slashed_for=["OFFLINE"])


async def withdraw_from_jail(network: Network, machine: Machine, *, left_step: int) -> None:
    _evidence, start, look, _register = blocks_under(REJOINING, LIFE_PAGE)
    _unbond, (withdraw, show_account) = blocks_under(LEAVING, LIFE_PAGE)
    validator = machine.names["VALIDATOR"]
    machine.names |= {"OWNER": f"0x{keystore_address(machine.directory / 'cold.json').hex()}", "URL": machine.url}
    owner = f"/account/{machine.names['OWNER']}"
    await machine.follow(start)
    await machine.follow(look)
    before = float((await network.get(owner))["balance"])
    record = (await network.get(f"/validators/{validator}"))["validator"]
    was_locked = str(record["lockedUntil"]) > format_timestamp(SystemClock().now_ms() + COMMAND_MS_MAX)
    refusals = await machine.until_accepted([withdraw], refused_with="WRONG_STATE")
    assert refusals or not was_locked
    while await network.get(f"/validators/{validator}"):
        await trio.sleep(POLL_SECONDS)
    await machine.follow([show_account])
    shown = await machine.run(look[-1])
    assert shown.status == 1
    assert "VALIDATOR_NOT_FOUND" in shown.text
    assert float((await network.get(owner))["balance"]) >= before + left_step
    await network.check_it_signs_no_more(validator)
    await network.check_no_fault()


@pytest.mark.long
async def test_a_validator_that_signed_twice_comes_back_from_jail_once_it_is_honest(tmp_path: Path) -> None:
    with trio.fail_after(LONGEST_SECONDS):
        async with (
            machine_in(tmp_path / "desk") as desk,
            network_of(desk, JAIL_SWIFT, rate=12, byzantine=Misbehaviour.DOUBLE_SIGN) as network,
            machine_in(tmp_path / "operator") as machine,
        ):
            # What the operator sees first, and looks for: the page's other process.
            await network.until_state(address_of(network.devnet.nodes[3].home), "jailed")
            await machine_of(network, 3, machine)
            shutil.copy(desk.directory / "cold.json", machine.directory)
            validator = machine.names["VALIDATOR"]
            await network.know_equivocations(["node0", "node1", "node2"])
            await come_back_from_jail(network, machine, burnt_step=STAKE_STEP // 2)
            await network.check_all_is_well(slashed_for=["DOUBLE_SIGN"])
            await machine.stop()
            check_histories(validator, [machine.home])


async def come_back_from_jail(network: Network, machine: Machine, *, burnt_step: int) -> None:
    """Register again with what was burnt of the stake, and as much is missing."""
    evidence, start, look, (register, until_active) = blocks_under(REJOINING, LIFE_PAGE)
    validator = machine.names["VALIDATOR"]
    machine.names["URL"] = machine.url
    await machine.follow(evidence)
    await machine.follow(start)
    await machine.follow(look)
    assert "--stake 10000 " in register
    register = register.replace("--stake 10000 ", f"--stake {burnt_step} ")
    await machine.until_accepted([register], refused_with="KEY_IN_USE")
    await machine.follow([until_active])
    await network.until_it_signs(validator)
    await network.until_health(machine, "ok")
    record = (await network.get(f"/validators/{validator}"))["validator"]
    assert float(record["stake"]) == STAKE_STEP
