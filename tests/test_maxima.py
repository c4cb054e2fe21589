"""Every named maximum is enforced somewhere: a bound that nothing reads is a promise that nothing keeps.

A constant `…_MAX` of a module counts as read where its name is loaded in that module, or in one that has imported it,
or as an attribute of the imported module. Its own definition, tests and prose do not count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("mesh", "consensus", "p2p", "step_node")


def _sources() -> dict[str, str]:
    """Dotted module → its source, of everything that is shipped."""
    sources = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return sources


def _maxima(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name) and target.id.endswith("_MAX"))


def _imported(tree: ast.Module) -> dict[str, str]:
    """Name in this module → the dotted name that it stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.asname: alias.name for alias in node.names if alias.asname}
    return names


def _unread(sources: Mapping[str, str]) -> list[str]:
    """The dotted names of the maxima that no module of `sources` reads."""
    trees = {module: ast.parse(source) for module, source in sources.items()}
    imported = {module: _imported(tree) for module, tree in trees.items()}

    def origin(dotted: str) -> str:
        """Where a name was defined that packages have passed on."""
        module, _, name = dotted.rpartition(".")
        further = imported.get(module, {}).get(name)
        return dotted if further is None else origin(further)

    read: set[str] = set()
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                read.add(origin(f"{module}.{node.id}"))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                read.add(origin(f"{origin(f'{module}.{node.value.id}')}.{node.attr}"))
    defined = [f"{module}.{name}" for module, tree in trees.items() for name in _maxima(tree)]
    assert len(defined) == len(set(defined))
    return [name for name in defined if name not in read]


def test_every_maximum_is_read_by_what_is_shipped() -> None:
    assert _unread(_sources()) == []


def test_there_are_maxima_to_look_at() -> None:
    assert sum(1 for source in _sources().values() for _ in _maxima(ast.parse(source))) > 100


@pytest.mark.parametrize(
    ("reader", "is_read"),
    [
        ("from house.limits import PEERS_MAX\nassert 3 < PEERS_MAX", True),
        ("from house.limits import PEERS_MAX as MOST\nassert 3 < MOST", True),
        ("from house import limits\nassert 3 < limits.PEERS_MAX", True),
        ("import house.limits as bounds\nassert 3 < bounds.PEERS_MAX", True),
        ("from house import PEERS_MAX\nassert 3 < PEERS_MAX", True),
        ("from house.limits import PEERS_MAX", False),
        ("PEERS_MAX = 4\nassert 3 < PEERS_MAX", False),
        ("'''At most PEERS_MAX.'''", False),
    ],
)
def test_a_maximum_counts_as_read_where_its_value_is_used(reader: str, is_read: bool) -> None:
    sources = {"house": "from house.limits import PEERS_MAX", "house.limits": "PEERS_MAX = 8", "house.reader": reader}
    assert ("house.limits.PEERS_MAX" not in _unread(sources)) is is_read
