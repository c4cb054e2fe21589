"""What a signing history says that this validator has signed, as messages again.

The guard keeps for each thing signed the digest of its line and a value (`signed_value`). Both together say the whole
message: it is rebuilt from the value, and taken only if its line has that digest. To sign it again gives the same
signature (RFC 6979).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from consensus.inputs import RECOVERED_MESSAGES_MAX
from consensus.messages import PreCommit, SignedMessage
from consensus.state import ROUNDS_BEHIND_MAX, ConsensusState, own_key
from step_node.crypto.eip191 import digest
from step_node.signing.history import SignedRecord
from step_node.signing.signed_value import message_of

DIGEST_BYTES = 32


def messages_of(records: Iterable[SignedRecord], *, chain_id: str, validator: bytes) -> list[SignedMessage]:
    """The messages, unsigned and without batches, in the order of `records`; what cannot be rebuilt is left out."""
    messages = []
    for record in records:
        line_digest, value = record.value[:DIGEST_BYTES], record.value[DIGEST_BYTES:]
        message = message_of(record.kind, record.height, record.round, value, validator)
        if message is not None and digest(message.signing_line(chain_id)) == line_digest:
            messages.append(message)
    return messages


def unknown_to(state: ConsensusState, messages: Sequence[SignedMessage]) -> bool:
    """Whether the machine lacks anything of what was signed: it neither remembers it nor is about to sign it again."""
    return any(_is_unknown(state, message) for message in messages)


def _is_unknown(state: ConsensusState, message: SignedMessage) -> bool:
    if isinstance(message, PreCommit) and message.batch_hash is not None and message.round > state.locked_round:
        return True
    if message.round < state.round - ROUNDS_BEHIND_MAX:
        return False
    own = state.round_state(message.round).own.get(own_key(message))
    return own is None or replace(own.message, signature=b"") != message


def worth_recovering(messages: Sequence[SignedMessage]) -> list[SignedMessage]:
    """Those that the machine takes back, in the order of their rounds: what is near the latest round, and the lock."""
    if not messages:
        return []
    in_order = sorted(messages, key=lambda message: message.round)
    first_round = in_order[-1].round - ROUNDS_BEHIND_MAX
    locks = [one for one in in_order if isinstance(one, PreCommit) and one.batch_hash is not None]
    locked_round = locks[-1].round if locks else first_round
    chosen = [one for one in in_order if one.round >= first_round or one.round == locked_round]
    return chosen[-RECOVERED_MESSAGES_MAX:]
