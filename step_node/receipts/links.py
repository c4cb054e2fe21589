"""Which validators' word a newcomer takes: those of genesis, and whom they have handed over to (ADR 12).

Whenever the set changes, a *link* shows it: a header under the new set, its commit, and the members, whose hash the
header names. The link is good if a quorum of the new set has signed that header, and if a quorum of the set trusted
before is among them. So a link takes as many keys to forge as a batch does: whoever has a quorum of the old set's could
as well have made the batches that the newcomer would fetch instead.

A header between two links need not be looked at, and a set that was followed by the next before a link could be made
is passed over: what counts is who signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from consensus.commit import InvalidCommit, verify_commit
from consensus.messages import Commit
from consensus.values import VALIDATORS_MAX, Validator, ValidatorSet
from consensus.wire import wire_type
from step_node.batch.batch import BatchHeader, header_hash
from step_node.crypto.lines import recover_signer

LINKS_MAX = 4_096
"""Changes of the set that a newcomer follows. A chain that has had more gives no snapshots any more: newcomers fetch
every batch."""


class InvalidLink(ValueError):
    """A link that leads nowhere. The message names the part and the rule."""


@wire_type
class SetLink:
    """The first, or a later, header under a set that is not the one of the link before, and who the members are."""

    header: BatchHeader
    commit: Commit
    validators: Annotated[tuple[Validator, ...], Field(min_length=1, max_length=VALIDATORS_MAX)]


def needed_links(first: ValidatorSet, links: Sequence[SetLink]) -> tuple[SetLink, ...]:
    """Of `links`, which lead from `first` to a set, those that a reader needs to be led there.

    A link is left out if a quorum of the set before it has signed the link after it too, or if that leads back to this
    set. One pass, so not always the fewest; a membership test for each signature.
    """
    kept: list[SetLink] = []
    reached, reached_hash, latest = first, first.hash, None
    for link in links:
        if link.header.validator_set_hash == reached_hash:
            latest = None
            continue
        if latest is not None and sum(entry.validator in reached for entry in link.commit.signatures) < reached.quorum:
            kept.append(latest)
            reached, reached_hash = ValidatorSet(latest.validators), latest.header.validator_set_hash
        latest = link
    return tuple(kept) if latest is None else (*kept, latest)


class TrustedSets:
    """The sets that links have shown to be the chain's, the first being that of genesis."""

    def __init__(self, chain_id: str, genesis: ValidatorSet) -> None:
        self._chain_id = chain_id
        self._by_hash = {genesis.hash: genesis}
        self._height = 0
        self.latest = genesis
        """The one that the next link starts from."""
        self.latest_hash = genesis.hash

    @classmethod
    def along(cls, chain_id: str, genesis: ValidatorSet, links: Sequence[SetLink]) -> TrustedSets:
        """Those of a whole chain of links. Raises `InvalidLink`."""
        trusted = cls(chain_id, genesis)
        for link in links:
            trusted.follow(link)
        return trusted

    def find(self, validator_set_hash: bytes) -> ValidatorSet | None:
        """The set with this hash, if it is one of these."""
        return self._by_hash.get(validator_set_hash)

    def follow(self, link: SetLink) -> None:
        """Trust the set that `link` leads to. Raises `InvalidLink`, with nothing changed, if it leads nowhere."""
        header, commit = link.header, link.commit
        if header.chain_id != self._chain_id:
            raise InvalidLink("link: header.chain_id: is another chain's")
        if header.height <= self._height:
            raise InvalidLink(f"link: header.height: must be above {self._height}")
        if header.validator_set_hash == self.latest_hash:
            raise InvalidLink("link: the set is not another one")
        try:
            validators = ValidatorSet(link.validators)
        except ValueError as error:
            raise InvalidLink(f"link: {error}") from error
        if validators.hash != header.validator_set_hash:
            raise InvalidLink("link: validators: are not the set that the header names")
        # Counted before any signature is recovered; `verify_commit` sees to it that each is there once, and is good.
        old = sum(entry.validator in self.latest for entry in commit.signatures)
        if old < self.latest.quorum:
            raise InvalidLink(
                f"link: commit: {old} of the {len(self.latest)} validators before have signed; a quorum is"
                f" {self.latest.quorum}"
            )
        try:
            verify_commit(
                commit,
                chain_id=self._chain_id,
                height=header.height,
                batch_hash=header_hash(header),
                validators=validators,
                recover=recover_signer,
            )
        except InvalidCommit as error:
            raise InvalidLink(f"link: the commit of height {header.height}: {error}") from error
        self._by_hash[header.validator_set_hash] = validators
        self._height = header.height
        self.latest, self.latest_hash = validators, header.validator_set_hash
