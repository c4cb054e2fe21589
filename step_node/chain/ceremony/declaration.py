"""What an operator hands to whoever collects: a validator of a chain that is planned, signed by its hot key.

The signature shows that the key is at hand and is meant for this plan and no other, so nobody can enter a key that is
not his, or an address, an owner or a stake that its operator did not mean. The owner's signature is optional: a cold
key may be where it cannot sign. Without it nobody has seen that this owner can ever take back the stake.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from step_node.chain.genesis import GenesisPlan, GenesisValidator
from step_node.crypto.eip191 import BadSignature, digest, recover_address, sign
from step_node.errors import StepNodeError
from step_node.multiaddrs import named_peer
from step_node.parameters import USTEP_PER_STEP, ChainId

SignatureText = Annotated[str, Field(pattern="^0x[0-9a-fA-F]{130}$")]


class DeclarationError(StepNodeError):
    """A declaration that cannot be taken; the message names the key and the rule."""


class Declaration(BaseModel):
    """The content of a declaration's file. `plan` is the hash of the plan that it is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    chain_id: ChainId
    plan: Annotated[str, Field(pattern="^0x[0-9a-fA-F]{64}$")]
    validator: GenesisValidator
    signature: SignatureText
    """By the validator's hot key, over `line`."""
    owner_signature: SignatureText | None = None
    """By the owner's key, over the same."""

    @property
    def line(self) -> str:
        """What is signed, by EIP-191."""
        return declaration_line(self.chain_id, self.plan, self.validator)

    @property
    def owner(self) -> str:
        """The owner's address: the validator's own, if none is named."""
        return self.validator.owner or self.validator.address

    @property
    def is_owner_shown(self) -> bool:
        """Whether the owner's key has been shown to be at hand."""
        return self.owner_signature is not None or self.owner == self.validator.address

    def check(self, plan: GenesisPlan) -> None:
        """Raise `DeclarationError` unless this is for `plan`, signed by whom it names, and can be dialled."""
        hashed = f"0x{plan.hash.hex()}"
        if (self.chain_id, self.plan) != (plan.chain_id, hashed):
            raise DeclarationError(
                f"plan: is for {self.plan} of the chain {self.chain_id}, and this plan is {hashed} of"
                f" {plan.chain_id}: declare with the same file as all others"
            )
        if not _is_by(self.signature, self.line, self.validator.address):
            raise DeclarationError("signature: is not by the validator's key over what stands here")
        if self.owner_signature is not None and not _is_by(self.owner_signature, self.line, self.owner):
            raise DeclarationError("owner_signature: is not by the owner's key over what stands here")
        check_validator(self.validator, plan)


def declaration_line(chain_id: str, plan: str, validator: GenesisValidator) -> str:
    """The line that both keys sign; every field of the declaration is in it."""
    return (
        f"STEP-GENESIS-VALIDATOR-v1|chain:{chain_id}|plan:{plan}|owner:{validator.owner or validator.address}"
        f"|key:{validator.public_key}|stake_ustep:{validator.stake_ustep}|p2p:{validator.p2p_address}"
    )


def declare(
    plan: GenesisPlan, validator: GenesisValidator, *, hot_key: bytes, owner_key: bytes | None = None
) -> Declaration:
    """Sign for `validator`, whose key is `hot_key` (32 bytes); with `owner_key` for its owner as well.

    Raises `DeclarationError` if the plan cannot have it, or a key is not the one that is named.
    """
    hashed = f"0x{plan.hash.hex()}"
    line = declaration_line(plan.chain_id, hashed, validator)
    declaration = Declaration(
        chain_id=plan.chain_id,
        plan=hashed,
        validator=validator,
        signature=f"0x{sign(line, hot_key).hex()}",
        owner_signature=None if owner_key is None else f"0x{sign(line, owner_key).hex()}",
    )
    declaration.check(plan)
    return declaration


def check_validator(validator: GenesisValidator, plan: GenesisPlan) -> None:
    """Raise `DeclarationError` unless the stake is enough and nodes can dial the address."""
    check_stake(validator.stake_ustep, plan)
    if named_peer(validator.p2p_address) is None:
        raise DeclarationError("validator.p2p_address: must end in /p2p/<peer id>")


def check_stake(stake_ustep: int, plan: GenesisPlan) -> None:
    """Raise `DeclarationError` unless the plan's validators may stake so little."""
    minimum_ustep = plan.parameters.min_stake * USTEP_PER_STEP
    if stake_ustep < minimum_ustep:
        raise DeclarationError(
            f"validator.stake_ustep: {stake_ustep} is below parameters.min_stake, {minimum_ustep} µSTEP"
        )


def _is_by(signature: str, line: str, address: str) -> bool:
    try:
        return "0x" + recover_address(digest(line), bytes.fromhex(signature[2:])).hex() == address
    except BadSignature:
        return False
