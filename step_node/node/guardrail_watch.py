"""The guardrails beside a running node: told of each batch, they tell the log, and lower the intake's share.

What they find changes nothing of what is final, or how this node votes: a fault that all nodes run is found by all of
them, and it is people who decide what becomes of it. What a node can do meanwhile is to let less of it happen: where
the settings say so, a breach lowers the share of accounts that anything is taken from, as an operator would by
`step-node admin intake-share`, with the guardrail's name for who has done it. It is raised again by an operator alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog
import trio

from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.clock import Clock
from step_node.economy.guardrails.band import Origin
from step_node.economy.guardrails.drifts import LARGEST
from step_node.economy.guardrails.guardrail import OF_THE_LEDGER, Breach, Guardrail
from step_node.economy.guardrails.guardrails import Broken, Guardrails, Kept, Limits, Reading
from step_node.home.switches import WHY_CHARACTERS_MAX, IntakePercent, ShareSet, Switch, Switches
from step_node.ledger.state import StateKeys
from step_node.metrics import NodeMetrics
from step_node.node.guardrail_file import GuardrailFile, GuardrailsKept
from step_node.offload import run_blocking
from step_node.operations.operation import FIRST_VERSION
from step_node.storage.interface import StorageUnavailable

LOOK_SECONDS: Final = 60.0
"""How often it is looked up who holds how much, if a batch has come since."""

Audit = Callable[[str, IntakePercent, str], Awaitable[None]]
"""Records that a guardrail (by its name) has set the intake's share, and why."""

log = structlog.get_logger("guardrails")


async def _unrecorded(_who: str, _percent: IntakePercent, _why: str) -> None: ...


@dataclass(frozen=True, slots=True)
class GuardrailSettings:
    """`limits`, and to how many of a hundred accounts a breach lowers the intake's share: of a guardrail of the
    ledger, and of a drift. 100: it does nothing to it."""

    limits: Limits
    ledger_percent: IntakePercent = 100
    drift_percent: IntakePercent = 100

    def percent_of(self, guardrail: Guardrail) -> IntakePercent:
        """What a breach of it lowers the share to."""
        return self.ledger_percent if guardrail in OF_THE_LEDGER else self.drift_percent


class GuardrailWatch:
    """See the module's docstring. `begin` before the first batch; then `run`, and `after_batch` for each."""

    def __init__(
        self,
        *,
        chain: Chain,
        switches: Switches,
        clock: Clock,
        metrics: NodeMetrics,
        settings: GuardrailSettings | None = None,
        file: GuardrailFile | None = None,
    ) -> None:
        self._chain = chain
        self._switches = switches
        self._clock = clock
        self._metrics = metrics
        self._file = file
        self.settings = settings or GuardrailSettings(Limits())
        self.audit: Audit = _unrecorded
        """Whoever keeps a record of what is commanded puts it here."""
        genesis = chain.genesis
        self._origin = Origin(
            genesis.supply_ustep, genesis.protocol_version or FIRST_VERSION, counts_all=genesis.initial_state is None
        )
        self._guardrails: Guardrails | None = None
        self._looked_at_height = -1
        metrics.expect_guardrails(Guardrail)

    @property
    def is_on(self) -> bool:
        """Whether they look at anything now."""
        return self._switches.is_on(Switch.GUARDRAILS)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """How they stand; nothing before `begin`."""
        return () if self._guardrails is None else self._guardrails.readings()

    @property
    def broken(self) -> tuple[Broken, ...]:
        """What is wrong now, in the list's order."""
        if self._guardrails is None:
            return ()
        found = self._guardrails.broken
        return tuple(found[guardrail] for guardrail in Guardrail if guardrail in found)

    @property
    def checked_height(self) -> int:
        """The last batch that they have gone over, or that was there before."""
        return 0 if self._guardrails is None else self._guardrails.checked_height

    def set(self, settings: GuardrailSettings) -> None:
        """Go on with other settings, from the next batch on."""
        self.settings = settings
        if self._guardrails is not None:
            self._guardrails.limits = settings.limits

    async def begin(self) -> None:
        """Start at the head, with what was kept. Raises `StorageUnavailable`."""
        kept = None
        read = None if self._file is None else await run_blocking(self._file.read)
        if read is not None and read.genesis_hash == self._chain.genesis.hash.hex():
            kept = read.kept()
        await self._begin_at_head(kept)
        for broken in self.broken:
            log.error(
                "a guardrail is broken, as it was before this start",
                guardrail=broken.breach.guardrail.value,
                height=broken.breach.height,
                reason=broken.breach.message,
            )

    async def after_batch(self, judged: JudgedBatch) -> None:
        """Go over a batch that has just become final. Raises `StorageUnavailable`."""
        if not self.is_on:
            return
        guardrails = self._guardrails
        if guardrails is None or guardrails.height != judged.batch.header.height - 1:
            # They were off, or the state came from a snapshot: the clicks that there are must be counted anew.
            await self._begin_at_head()
            return
        hour = guardrails.hour
        await self._act_on(guardrails.after_batch(judged))
        if guardrails.hour != hour:
            self._keep()

    async def look(self) -> None:
        """Look up who holds how much. Raises `StorageUnavailable`."""
        guardrails, head = self._guardrails, self._chain.head
        if guardrails is None or not self.is_on or self._looked_at_height == head.chain.height:
            return
        storage, limits = self._chain.storage, self.settings.limits
        largest = await storage.leaderboard(limit=max(LARGEST, limits.concentration_accounts_min))
        balances = {account.address: account.balance_ustep for account in largest}
        owners = frozenset(record.owner for record in head.validators) - balances.keys()
        if owners:
            found = (await storage.load(StateKeys(accounts=owners))).accounts
            balances |= {owner: account.balance_ustep for owner, account in found.items() if account is not None}
        self._looked_at_height = head.chain.height
        await self._act_on(guardrails.look(balances))

    async def run(self) -> None:
        """Look now and then, and keep what has changed, until cancelled."""
        async with trio.open_nursery() as nursery:
            if self._file is not None:
                nursery.start_soon(self._file.run)
            while True:
                try:
                    await self.look()
                except StorageUnavailable as error:
                    log.info("what accounts hold is looked up later: the store does not answer", reason=str(error))
                await trio.sleep(LOOK_SECONDS)

    def acknowledge(self, guardrail: Guardrail) -> Broken | None:
        """An operator has seen that it is broken; what it was, if it was."""
        if self._guardrails is None:
            return None
        broken = self._guardrails.acknowledge(guardrail)
        self._keep()
        return broken

    async def _begin_at_head(self, kept: Kept | None = None) -> None:
        counts = await self._chain.storage.level_counts()
        head = self._chain.head
        if self._guardrails is None:
            self._guardrails = Guardrails(self._origin, head, counts, limits=self.settings.limits, kept=kept)
        else:
            # The same go on: an operator may have acknowledged a breach while the store counted.
            self._guardrails.begin_at(head, counts)

    async def _act_on(self, breaches: tuple[Breach, ...]) -> None:
        for breach in breaches:
            self._metrics.guardrail_broken(breach.guardrail.value)
            log.error(
                "a guardrail is broken",
                guardrail=breach.guardrail.value,
                height=breach.height,
                reason=breach.message,
                figure=None if breach.figure is None else str(breach.figure),
                bound=None if breach.bound is None else str(breach.bound),
            )
            await self._lower_share(breach)
        if breaches:
            self._keep()

    async def _lower_share(self, breach: Breach) -> None:
        percent = self.settings.percent_of(breach.guardrail)
        if percent >= self._switches.intake_percent:
            return
        who = f"guardrail {breach.guardrail.value}"
        why = f"height {breach.height}: {breach.message}"[:WHY_CHARACTERS_MAX]
        share = ShareSet(percent=percent, who=who, when_ms=self._clock.now_ms(), why=why)
        try:
            is_lowered = await run_blocking(self._switches.lower_share, share)
        except OSError as error:
            log.error("a guardrail could not lower the intake's share", guardrail=who, reason=str(error))
            return
        if not is_lowered:
            return
        log.warning("a guardrail has lowered the intake's share", guardrail=who, percent=percent)
        await self.audit(who, percent, why)

    def _keep(self) -> None:
        if self._file is not None and self._guardrails is not None:
            self._file.write_soon(GuardrailsKept.of(self._guardrails.kept, self._chain.genesis.hash))
