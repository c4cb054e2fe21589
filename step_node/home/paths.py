"""A node home: the one directory that holds all of a node's files, and what each is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class NodeHome:
    """Where a node's files stand. `root` is the directory given as `--home`."""

    root: Path

    @property
    def config(self) -> Path:
        """The operator's settings."""
        return self.root / "config.toml"

    @property
    def genesis(self) -> Path:
        """The chain's genesis, the same on every node."""
        return self.root / "genesis.json"

    @property
    def initial_state(self) -> Path:
        """The records that the chain begins with, where its genesis names any; read once, to fill the store."""
        return self.root / "initial_state.bin"

    @property
    def validator_keystore(self) -> Path:
        """The validator's hot key, encrypted. A node without it only observes."""
        return self.root / "keys" / "validator.json"

    @property
    def next_validator_keystore(self) -> Path:
        """The key that takes over at the end of an epoch, if the owner has named one (`rotate-key`)."""
        return self.root / "keys" / "next-validator.json"

    @property
    def p2p_key(self) -> Path:
        """The key of the node's libp2p identity, in the clear (it guards no value), mode 0600."""
        return self.root / "keys" / "p2p.key"

    @property
    def password(self) -> Path:
        """The keystore's password, mode 0600: only in homes for trying things out, where it guards nothing."""
        return self.root / "keys" / "password"

    @property
    def data(self) -> Path:
        """Everything the node writes while it runs."""
        return self.root / "data"

    @property
    def ledger(self) -> Path:
        """The embedded store."""
        return self.data / "ledger.sqlite"

    def old_store(self, number: int) -> Path:
        """Where a store that was taken away is put: beside it, since `data` may be a volume of its own."""
        return self.data / f"old_store_{number}"

    @property
    def journal(self) -> Path:
        """Accepted proofs that the chain has not decided yet."""
        return self.data / "journal.sqlite"

    @property
    def economy(self) -> Path:
        """What is shown of the economy, and would else be computed again at each start; and the reports of epochs."""
        return self.data / "economy.sqlite"

    @property
    def snapshots(self) -> Path:
        """Snapshots of the state, for peers that join. May be deleted while the node is stopped."""
        return self.data / "snapshots"

    @property
    def validator_sets(self) -> Path:
        """The links from the validators of genesis to the present ones, for peers that join from a snapshot."""
        return self.data / "validator_sets"

    @property
    def consensus_log(self) -> Path:
        """The write-ahead log of the height that consensus is about."""
        return self.data / "consensus.log"

    @property
    def proof_of_lock(self) -> Path:
        """The batch that this validator has locked on last, and why; for when the consensus log is lost."""
        return self.data / "proof_of_lock"

    @property
    def signing_histories(self) -> Path:
        """What the double-sign guard remembers, one file for each key. Never delete one or copy it back."""
        return self.data / "signing_history"

    def signing_history(self, validator: bytes) -> Path:
        """That of the key whose address is `validator` (20 bytes)."""
        return self.signing_histories / f"0x{validator.hex()}.log"

    @property
    def unnamed_signing_history(self) -> Path:
        """Where older versions kept the history of whatever key there was. A home that has one is refused."""
        return self.data / "signing_history.log"

    @property
    def evidence(self) -> Path:
        """Evidence against validators that waits for a batch."""
        return self.data / "evidence"

    @property
    def address_book(self) -> Path:
        """Where peers have been found. May be deleted while the node is stopped: it finds them again."""
        return self.data / "address_book.json"

    @property
    def bans(self) -> Path:
        """Peers that are banned, and until when. May be deleted while the node is stopped, which lifts all bans."""
        return self.data / "bans.json"

    @property
    def switches(self) -> Path:
        """What the operator has turned off or on at run time, by whom, when and why."""
        return self.data / "switches.json"

    @property
    def guardrails(self) -> Path:
        """What the guardrails have found, and what was usual."""
        return self.data / "guardrails.json"

    @property
    def admin_socket(self) -> Path:
        """Where a running node listens for its operator's commands, mode 0600."""
        return self.data / "admin.sock"

    @property
    def admin_audit_log(self) -> Path:
        """Every command that came by that socket."""
        return self.data / "admin_audit.log"
