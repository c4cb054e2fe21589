"""No class shows a secret in its repr, which ends up in tracebacks, logs and test reports."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

import consensus
import mesh
import p2p
import step_node
from step_node.home.keys import NodeKeys

SECRET = re.compile(r"private|secret|password|(^|_)keys?$|token|mongodb_uri|^uri$")
PUBLIC = frozenset({"public_key", "next_public_key", "private_peers"})
HOLDS_KEYS = frozenset({NodeKeys})
"""Classes whose every field is a secret. A field of such a type shows what their own repr shows."""


def classes() -> Iterator[type]:
    for package in (consensus, mesh, p2p, step_node):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__"):
                continue
            module = importlib.import_module(found.name)
            for one in vars(module).values():
                if inspect.isclass(one) and one.__module__ == found.name:
                    yield one


def fields_shown(one: type) -> dict[str, bool]:
    """The fields of a class that makes its repr of them, and whether each is in it; none of other classes."""
    if dataclasses.is_dataclass(one):
        params = getattr(one, "__dataclass_params__", None)
        is_shown = params is None or params.repr
        return {field.name: is_shown and field.repr for field in dataclasses.fields(one)}
    if issubclass(one, BaseModel):
        return {name: bool(field.repr) for name, field in one.model_fields.items()}
    return dict.fromkeys(getattr(one, "_fields", ()), True)


SECRETS = [
    pytest.param(one, name, id=f"{one.__qualname__}.{name}")
    for one in classes()
    for name in fields_shown(one)
    if name not in PUBLIC and (SECRET.search(name) or one in HOLDS_KEYS)
]


@pytest.mark.parametrize(("one", "name"), SECRETS)
def test_a_field_that_holds_a_secret_is_not_shown(one: type, name: str) -> None:
    if _annotation(one, name) in {holder.__name__ for holder in HOLDS_KEYS}:
        return
    assert not fields_shown(one)[name], f"{one.__qualname__}.{name}: say repr=False"


def test_the_classes_that_are_known_to_hold_secrets_are_found() -> None:
    found = {parameter.id for parameter in SECRETS}
    assert found >= {
        "NodeKeys.p2p",
        "NodeKeys.validator",
        "Libp2pSettings.private_key",
        "StorageConfig.mongodb_uri",
        "MongoSettings.uri",
        "DevnetSettings.mongodb_uri",
        "DevnetSettings.password",
        "DevAccount.private_key",
        "NetworkNode.keys",
    }


def _annotation(one: type, name: str) -> str:
    return str(inspect.get_annotations(one).get(name))
