"""One genesis from a plan and everybody's declarations: the same one, whoever collects, in whatever order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Final

from step_node.chain.ceremony.declaration import Declaration, DeclarationError
from step_node.chain.genesis import Genesis, GenesisError, GenesisPlan, genesis_of
from step_node.multiaddrs import named_peer

_UNIQUE: Final[Mapping[str, Callable[[Declaration], str]]] = {
    "the validator": lambda declaration: declaration.validator.address,
    "the peer": lambda declaration: named_peer(declaration.validator.p2p_address) or "",
    "the place": lambda declaration: declaration.validator.p2p_address.rpartition("/p2p/")[0],
}
"""What no two validators may share, and what it is called."""


def collect(plan: GenesisPlan, declarations: Mapping[str, Declaration]) -> Genesis:
    """The genesis of `plan` with the declared validators, by address; the keys of `declarations` are their files.

    Raises `GenesisError` with a line for each declaration that is not right and each two that cannot both be.
    """
    errors = [*_each_wrong(plan, declarations), *_contradictions(declarations)]
    if errors:
        raise GenesisError("\n".join(errors))
    validators = sorted(
        (declaration.validator for declaration in declarations.values()), key=lambda validator: validator.address
    )
    return genesis_of(plan, validators)


def _each_wrong(plan: GenesisPlan, declarations: Mapping[str, Declaration]) -> Iterator[str]:
    for name, declaration in declarations.items():
        try:
            declaration.check(plan)
        except DeclarationError as error:
            yield f"{name}: {error}"


def _contradictions(declarations: Mapping[str, Declaration]) -> Iterator[str]:
    for what, shared in _UNIQUE.items():
        ordered = sorted(declarations.items(), key=lambda item: (shared(item[1]), item[0]))
        for value, group in groupby(ordered, key=lambda item: shared(item[1])):
            same = list(group)
            validators = {one.validator.address for _, one in same}
            if len(same) == 1 or (len(validators) == 1 and what != "the validator"):
                continue  # One validator's declarations share all the rest, and are told by it.
            names = " and ".join(name for name, _ in same)
            yield f"{names}: declare {what} {value} more than once{_difference([one for _, one in same])}"


def _difference(same: list[Declaration]) -> str:
    contents = [one.validator.model_dump() for one in same]
    fields = [field for field in contents[0] if any(one[field] != contents[0][field] for one in contents)]
    return f", and differ in {', '.join(fields)}: leave the wrong one away" if fields else ": leave one away"
