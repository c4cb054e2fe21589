"""A node's keys in memory are never shown: a repr ends up in tracebacks, logs and test reports."""

from __future__ import annotations

from p2p.libp2p_settings import Libp2pSettings
from step_node.home.config import StorageConfig
from step_node.home.keys import NodeKeys
from step_node.signing.keystore import new_private_key
from step_node.storage.open import MongoSettings
from tests.support.proofs import address, private_key


def test_keys_show_whose_they_are_and_no_secret() -> None:
    p2p = new_private_key()
    keys = NodeKeys(private_key("alice"), p2p)
    assert repr(keys) == f"NodeKeys(of validator 0x{address('alice').hex()})"
    assert repr(NodeKeys(None, p2p)) == "NodeKeys(an observer's)"
    assert repr(Libp2pSettings(p2p)).startswith("Libp2pSettings(listen_addresses=")
    for secret in (private_key("alice"), p2p):
        assert repr(secret) not in repr((keys, Libp2pSettings(p2p)))
        assert secret.hex() not in f"{keys} {keys!r}"


def test_new_keys_have_a_validators_only_where_it_is_asked_for() -> None:
    assert NodeKeys.new(is_validator=False).validator is None
    first, second = (NodeKeys.new(is_validator=True) for _ in range(2))
    assert first.validator_address != second.validator_address
    assert len({first.validator, first.p2p, second.validator, second.p2p}) == 4


def test_the_password_in_a_database_uri_is_not_shown() -> None:
    uri = "mongodb://step:pa55word@mongo1/?replicaSet=rs0"
    for settings in (MongoSettings(uri, "step"), StorageConfig(engine="mongodb", mongodb_uri=uri)):
        assert "pa55word" not in repr(settings)
        assert "step" in repr(settings)
