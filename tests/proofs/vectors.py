"""The known answers of tests/vectors/proof_signatures.json."""

import json
from pathlib import Path
from typing import TypedDict, cast

from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import SignedProof


class Vector(TypedDict):
    """One signed payload, made with a JavaScript wallet library."""

    payloadJson: str
    message: str
    eip191Hash: str
    signature: str
    address: str


_PATH = Path(__file__).parent.parent / "vectors" / "proof_signatures.json"
VECTORS = cast(list[Vector], json.loads(_PATH.read_text()))


def decoded(vector: Vector) -> SignedProof:
    return parse_payload(json.loads(vector["payloadJson"]), vector["signature"])
