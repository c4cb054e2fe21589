"""MessagePack for everything that leaves the process: messages to peers and entries of the log.

A wire type is a frozen dataclass made with `@wire_type`. On the wire it is a MessagePack map from field names to
values, nested wire types being maps in turn; the outermost map also has `version`. Three things must hold of every
decoder that strangers can reach, and all are decided here, once:

- Strictness. No field is unknown, none without a default is missing, no value is converted (a `true` is not a 1, text
  is not bytes), no map has a key twice, no number is NaN or infinite, and nothing follows the value.
- One form. A value has one encoding, that of `encode`: fields in the type's order and none left out, numbers in
  MessagePack's shortest form, floats in 8 bytes. Other bytes that would mean the same are refused, so that nobody can
  make two messages, two ids or two hashes of one value.
- Bounded work. `bytes_max` is checked before anything is parsed. MessagePack never makes more elements than there are
  bytes, and its own stack bounds the nesting, so a header that promises 2**32 elements or a million brackets is an
  error and costs neither memory nor a `RecursionError`. A megabyte of tiny maps would still cost most of a second, so
  what is not byte strings, of which long messages consist, is bounded more tightly (`structure_bytes_max`).

There is one exception, `WireError`; its message names the type, the field and the rule that was broken.

A union is written `Annotated[A | B, Discriminator("type")]`, each member having a field such as
`type: Literal["A"] = "A"`. `decode_union` reads it. Sequences are tuples, never lists: wire types are immutable.
"""

from dataclasses import field
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast, dataclass_transform, get_args

import msgpack
from pydantic import ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import CoreSchema

WIRE_VERSION = 1
"""The `version` of every outermost map. Another one is refused: there is no reader of two versions."""
WIRE_TYPES_MAX = 256
"""How many types keep their compiled reader; past it the one used least lately is compiled again when needed."""

STRUCTURE_BYTES_MAX = 16_384
"""How much of a value may be other than the byte strings that are fields of the outermost map, unless its reader says
otherwise: a commit of 140 validators. It is what a stranger can have parsed before its signature is looked at, and at
its worst takes some 7 ms."""
FIELDS_MAX = 32
"""Fields of one map. The largest wire type has 13."""
_MAP_MARKS = frozenset((0xDE, 0xDF))
_BYTE_STRING_MARKS = frozenset((0xC4, 0xC5, 0xC6))

T = TypeVar("T")

UInt63 = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""A count, a height, an amount: from 0 to 2**63 - 1, which every language and store can hold."""


class WireError(ValueError):
    """The bytes are not a value of the type asked for, or a value cannot be written. Names type, field and rule."""


def _core_schema(_cls: type[Any], source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
    # Pydantic's strict mode wants an instance where a dataclass is declared. The fields must stay strict, but the
    # dataclass itself has to be built from a map, or nothing could be decoded.
    schema = handler(source)
    return cast(CoreSchema, {**schema, "strict": False}) if schema["type"] == "dataclass" else schema


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def wire_type(cls: type[T]) -> type[T]:
    """Make `cls` a frozen, slotted dataclass whose fields are checked strictly when it is built and when it is decoded.

    Raises, when the class is called: `pydantic.ValidationError` (a ValueError) if a field breaks its rule.
    """
    cls.__get_pydantic_core_schema__ = classmethod(_core_schema)  # type: ignore[attr-defined]  # Pydantic's own hook
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return cast("type[T]", pydantic_dataclass(frozen=True, slots=True, config=config)(cls))


def encode(model: object) -> bytes:
    """`model`, an instance of a wire type, as bytes.

    Raises: WireError if a field holds what MessagePack cannot carry (an integer over 64 bits).
    """
    fields = _adapter(cast(Any, type(model))).dump_python(model)
    try:
        return cast(bytes, msgpack.packb({"version": WIRE_VERSION, **fields}, use_bin_type=True))
    except (OverflowError, TypeError, ValueError) as error:
        raise WireError(f"{type(model).__name__}: cannot be written: {error}") from error


def decode(wire: type[T], data: bytes, *, bytes_max: int, structure_bytes_max: int = STRUCTURE_BYTES_MAX) -> T:
    """The instance of the wire type `wire` that `data` holds, of at most `bytes_max` bytes.

    Raises: WireError.
    """
    return cast(T, _decode(wire, wire.__name__, data, bytes_max, structure_bytes_max))


def decode_union(union: Any, data: bytes, *, bytes_max: int, structure_bytes_max: int = STRUCTURE_BYTES_MAX) -> Any:
    """Like `decode`, for `union = Annotated[A | B, Discriminator("type")]`: the member that the field `type` names.

    Raises: WireError.
    """
    name = " | ".join(member.__name__ for member in get_args(get_args(union)[0]))
    return _decode(union, name, data, bytes_max, structure_bytes_max)


@lru_cache(maxsize=WIRE_TYPES_MAX)
def _adapter(wire: Any) -> TypeAdapter[Any]:
    return TypeAdapter(wire)


def _decode(wire: Any, name: str, data: bytes, bytes_max: int, structure_bytes_max: int) -> object:
    if len(data) > bytes_max:
        raise WireError(f"{name}: {len(data)} bytes, but at most {bytes_max} are allowed")
    try:
        if len(data) > structure_bytes_max:
            _check_structure(data, structure_bytes_max)
        fields = msgpack.unpackb(
            data,
            raw=False,
            use_list=False,
            strict_map_key=True,
            object_pairs_hook=_unique_keys,
            ext_hook=_no_extension,
            max_map_len=FIELDS_MAX,
        )
    except WireError as error:
        raise WireError(f"{name}: {error}") from None
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise WireError(f"{name}: not one MessagePack value: {str(error) or type(error).__name__}") from error
    if not isinstance(fields, dict):
        raise WireError(f"{name}: must be a map, not {type(fields).__name__}")
    version = fields.pop("version", None)
    if type(version) is not int or version != WIRE_VERSION:
        raise WireError(f"{name}.version: must be {WIRE_VERSION}, not {version!r:.40}")
    try:
        value = cast(object, _adapter(wire).validate_python(fields))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join([name, *(f"{part!s:.40}" for part in first["loc"])])
        raise WireError(f"{path}: {first['msg']}") from error
    # A third to two thirds of what reading costs: 6 µs for a vote, 2 ms for a batch of 1,000 proofs.
    if encode(value) != data:
        raise WireError(f"{name}: must be in its one form: all fields, in their order, MessagePack's shortest, float64")
    return value


def _check_structure(data: bytes, structure_bytes_max: int) -> None:
    """Raises WireError if more than so many bytes are not byte strings of the outermost map. Builds no value."""
    if not (data[0] & 0xF0 == 0x80 or data[0] in _MAP_MARKS):
        raise WireError("must be a map")
    unpacker = msgpack.Unpacker(max_buffer_size=len(data))
    unpacker.feed(data)
    length = unpacker.read_map_header()
    if length > FIELDS_MAX:
        raise WireError(f"a map has {length} fields, but at most {FIELDS_MAX} are allowed")
    structure_bytes = len(data)
    for _ in range(2 * length):
        start = unpacker.tell()
        unpacker.skip()
        if data[start] in _BYTE_STRING_MARKS:
            structure_bytes -= unpacker.tell() - start
    if structure_bytes > structure_bytes_max:
        raise WireError(f"{structure_bytes} bytes besides byte strings, but at most {structure_bytes_max} are allowed")


def _unique_keys(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise WireError("a map has the same key twice")
    return unique


def _no_extension(code: int, _data: bytes) -> Any:
    raise WireError(f"MessagePack extension type {code} is not allowed")
