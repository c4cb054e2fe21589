"""What a new chain begins with where nobody says otherwise (docs/adr/0065-parameters-with-evidence.md).

This is not what a genesis means that leaves something out: it means the first version of the rules and the defaults of
`Parameters`, for good. A chain's identity is the hash of all of its parameters, those that its file leaves out as well,
so those defaults can never change. What the commands write that make a genesis can: they write everything out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from step_node.operations.operation import FIRST_VERSION
from step_node.parameters import Parameters

RULES_VERSION: Final = 2
"""All proofs of a triangle together are paid no more than its share: version 1 would mint 4.7 % more than there is."""

CHOSEN: Final[Mapping[str, int]] = MappingProxyType({"slash_offline_bps": 100})
"""Where a new chain's parameters are not the protocol's defaults.

Absence burns 1,000 STEP of the least stake, and not 10,000, which is five first years' earnings of a validator.
"""


def new_chain_parameters(wanted: Mapping[str, Any] = MappingProxyType({})) -> Parameters:
    """Those that are `wanted`, and for the rest a new chain's. Raises pydantic's `ValidationError` naming the key."""
    return Parameters.model_validate({**CHOSEN, **wanted})


def named_version(version: int) -> int | None:
    """The version of the rules as it stands in a genesis: the first one is not named there."""
    return None if version == FIRST_VERSION else version
