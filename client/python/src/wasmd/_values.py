"""Wasm's values and types in Python.

A call takes and gives plain Python values: int for i32 and i64, float for f32 and f64, 16 bytes for v128, None or a Ref for
references. An f32 that is a signalling NaN does not survive being a Python float; who needs every bit uses `Value` and
`call_values`.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Union

from .v1 import value_pb2


class ValType(enum.IntEnum):
    I32 = 1
    I64 = 2
    F32 = 3
    F64 = 4
    V128 = 5
    FUNCREF = 6
    EXTERNREF = 7
    EXNREF = 8

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Ref:
    """A reference that the daemon gave out in this session. Null is None."""

    type: ValType
    handle: int


PythonValue = Union[int, float, bytes, Ref, None]


@dataclass(frozen=True)
class Value:
    """A value with every bit: integers unsigned, floats as their bits, v128 as an integer (lane 0 lowest), references as handles."""

    type: ValType
    bits: int

    @classmethod
    def i32(cls, value: int) -> Value:
        return cls.of(ValType.I32, value)

    @classmethod
    def i64(cls, value: int) -> Value:
        return cls.of(ValType.I64, value)

    @classmethod
    def f32(cls, value: float) -> Value:
        return cls.of(ValType.F32, value)

    @classmethod
    def f64(cls, value: float) -> Value:
        return cls.of(ValType.F64, value)

    @classmethod
    def of(cls, type: ValType, value: PythonValue) -> Value:
        """TypeError, OverflowError: the Python value is none of that type."""
        if type in (ValType.I32, ValType.I64):
            width = 32 if type is ValType.I32 else 64
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{value!r} is not an int, for {type}")
            if not -(1 << (width - 1)) <= value < 1 << width:
                raise OverflowError(f"{value} is out of the range of {type}")
            return cls(type, value % (1 << width))
        if type in (ValType.F32, ValType.F64):
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise TypeError(f"{value!r} is not a float, for {type}")
            if type is ValType.F32:
                return cls(type, int.from_bytes(struct.pack("<f", value), "little"))
            return cls(type, int.from_bytes(struct.pack("<d", value), "little"))
        if type is ValType.V128:
            if not isinstance(value, bytes) or len(value) != 16:
                raise TypeError(f"{value!r} is not 16 bytes, for {type}")
            return cls(type, int.from_bytes(value, "little"))
        if value is None:
            return cls(type, 0)
        if isinstance(value, Ref) and value.type is type:
            return cls(type, value.handle)
        raise TypeError(f"{value!r} is neither None nor a Ref, for {type}")

    @property
    def python(self) -> PythonValue:
        if self.type is ValType.I32:
            return self.bits - ((self.bits & 0x8000_0000) << 1)
        if self.type is ValType.I64:
            return self.bits - ((self.bits & 0x8000_0000_0000_0000) << 1)
        if self.type is ValType.F32:
            single: float = struct.unpack("<f", self.bits.to_bytes(4, "little"))[0]
            return single
        if self.type is ValType.F64:
            double: float = struct.unpack("<d", self.bits.to_bytes(8, "little"))[0]
            return double
        if self.type is ValType.V128:
            return self.bits.to_bytes(16, "little")
        return Ref(self.type, self.bits) if self.bits else None

    def to_proto(self) -> value_pb2.Value:
        if self.type in (ValType.I32, ValType.I64):
            signed = self.python
            assert isinstance(signed, int)
            return value_pb2.Value(i32=signed) if self.type is ValType.I32 else value_pb2.Value(i64=signed)
        if self.type is ValType.F32:
            return value_pb2.Value(f32_bits=self.bits)
        if self.type is ValType.F64:
            return value_pb2.Value(f64_bits=self.bits)
        if self.type is ValType.V128:
            return value_pb2.Value(v128=self.bits.to_bytes(16, "little"))
        return value_pb2.Value(ref=value_pb2.Reference(type=f"VAL_TYPE_{self.type.name}", handle=self.bits))

    @classmethod
    def from_proto(cls, proto: value_pb2.Value) -> Value:
        kind = proto.WhichOneof("kind")
        if kind == "i32":
            return cls(ValType.I32, proto.i32 % (1 << 32))
        if kind == "i64":
            return cls(ValType.I64, proto.i64 % (1 << 64))
        if kind == "f32_bits":
            return cls(ValType.F32, proto.f32_bits)
        if kind == "f64_bits":
            return cls(ValType.F64, proto.f64_bits)
        if kind == "v128":
            return cls(ValType.V128, int.from_bytes(proto.v128, "little"))
        if kind == "ref":
            return cls(ValType(proto.ref.type), proto.ref.handle)
        raise ValueError("the daemon sent a value of a kind that this client does not know")


@dataclass(frozen=True)
class FuncType:
    params: tuple[ValType, ...]
    results: tuple[ValType, ...]

    def __str__(self) -> str:
        results = ", ".join(map(str, self.results))
        if len(self.results) != 1:
            results = f"({results})"
        return f"({', '.join(map(str, self.params))}) -> {results}"


@dataclass(frozen=True)
class Limits:
    min: int
    max: int | None


@dataclass(frozen=True)
class TableType:
    """Indices are i32 or i64: `address`."""

    element: ValType
    limits: Limits
    address: ValType = ValType.I32


@dataclass(frozen=True)
class MemoryType:
    """Limits in pages of `page_size` bytes; addresses are i32 or i64."""

    limits: Limits
    address: ValType = ValType.I32
    page_size: int = 65536


@dataclass(frozen=True)
class GlobalType:
    type: ValType
    mutable: bool


@dataclass(frozen=True)
class TagType:
    """The values of a tag's exceptions."""

    params: tuple[ValType, ...]


ExternType = Union[FuncType, TableType, MemoryType, GlobalType, TagType]


def _limits(proto: value_pb2.Limits) -> Limits:
    return Limits(proto.min, proto.max if proto.HasField("max") else None)


def _address(proto: int) -> ValType:
    """Older daemons do not tell."""
    return ValType(proto) if proto else ValType.I32


def extern_type(proto: value_pb2.ExternType) -> ExternType:
    kind = proto.WhichOneof("kind")
    if kind == "table":
        return TableType(ValType(proto.table.element), _limits(proto.table.limits), _address(proto.table.address))
    if kind == "memory":
        memory = proto.memory
        return MemoryType(_limits(memory.limits), _address(memory.address), memory.page_size or 65536)
    if kind == "global":
        # A keyword of Python.
        entry: value_pb2.GlobalType = getattr(proto, "global")
        return GlobalType(ValType(entry.type), entry.mutable)
    if kind == "tag":
        return TagType(tuple(map(ValType, proto.tag.params)))
    return FuncType(tuple(map(ValType, proto.func.params)), tuple(map(ValType, proto.func.results)))
