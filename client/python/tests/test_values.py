"""Values of every type arrive as they left."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import pytest

import wasmd
from wasmd import ValType, Value

ECHO = """(module
  (func (export "i32") (param i32) (result i32) local.get 0)
  (func (export "i64") (param i64) (result i64) local.get 0)
  (func (export "f32") (param f32) (result f32) local.get 0)
  (func (export "f64") (param f64) (result f64) local.get 0)
  (func (export "funcref") (param funcref) (result funcref) local.get 0)
  (func (export "externref") (param externref) (result externref) local.get 0)
  (func (export "swap") (param i32 f64) (result f64 i32) local.get 1 local.get 0)
  (func (export "many") (param i32 i64 f32 f64 i32 i64 f32 f64 i32 i64) (result i64 i32 f64 f32 i64 i32 f64 f32 i64 i32)
    local.get 9 local.get 8 local.get 7 local.get 6 local.get 5
    local.get 4 local.get 3 local.get 2 local.get 1 local.get 0)
  (func (export "nothing")))"""


@pytest.fixture
def echo(client: wasmd.Client, wat: Callable[[str], bytes]) -> wasmd.Module:
    return client.load(wat(ECHO), name="echo")


@pytest.mark.parametrize("value", [0, 1, -1, 2**31 - 1, -(2**31)])
def test_i32(echo: wasmd.Module, value: int) -> None:
    assert echo.call("i32", value) == value


@pytest.mark.parametrize("value", [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1])
def test_i64(echo: wasmd.Module, value: int) -> None:
    assert echo.call("i64", value) == value


def test_unsigned_arguments_wrap(echo: wasmd.Module) -> None:
    assert echo.call("i32", 2**32 - 1) == -1
    assert echo.call("i64", 2**64 - 1) == -1


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, 3])
def test_f64(echo: wasmd.Module, value: float) -> None:
    result = echo.call("f64", value)
    assert struct.pack("<d", result) == struct.pack("<d", value)


def test_f32_rounds(echo: wasmd.Module) -> None:
    assert echo.call("f32", 0.1) == struct.unpack("<f", struct.pack("<f", 0.1))[0]


@pytest.mark.parametrize("bits", [0, 1, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF])
def test_f32_bits(echo: wasmd.Module, bits: int) -> None:
    value = Value(ValType.F32, bits)
    assert echo.call_values("f32", [value]) == (value,)


@pytest.mark.parametrize("bits", [0, 1, 1 << 63, 0x7FF0000000000001, 0x7FF8000000000000, 0xFFFFFFFFFFFFFFFF])
def test_f64_bits(echo: wasmd.Module, bits: int) -> None:
    value = Value(ValType.F64, bits)
    assert echo.call_values("f64", [value]) == (value,)


def test_references(echo: wasmd.Module) -> None:
    assert echo.call("funcref", None) is None
    assert echo.call("externref", None) is None
    with pytest.raises(wasmd.RpcError):
        echo.call_values("externref", [Value(ValType.EXTERNREF, 12345)])


def test_many_values(echo: wasmd.Module) -> None:
    assert echo.call("swap", 7, 0.5) == (0.5, 7)
    given = (1, 2, 3.0, 4.0, 5, 6, 7.0, 8.0, 9, 10)
    assert echo.call("many", *given) == tuple(reversed(given))
    assert echo.call("nothing") is None


@pytest.mark.parametrize(
    ("func", "args", "error"),
    [
        ("i32", (), TypeError),
        ("i32", (1, 2), TypeError),
        ("i32", ("1",), TypeError),
        ("i32", (1.0,), TypeError),
        ("i32", (True,), TypeError),
        ("i32", (2**32,), OverflowError),
        ("i64", (-(2**63) - 1,), OverflowError),
        ("f32", (1e39,), OverflowError),
        ("f64", ("x",), TypeError),
        ("funcref", (0,), TypeError),
    ],
)
def test_arguments_that_do_not_fit(echo: wasmd.Module, func: str, args: tuple[object, ...], error: type) -> None:
    with pytest.raises(error) as raised:
        echo.call(func, *args)
    assert f"{func} is (" in str(raised.value)


def test_the_daemon_checks_too(echo: wasmd.Module) -> None:
    for args in ([], [Value.i64(1)], [Value.i32(1), Value.i32(1)]):
        with pytest.raises(wasmd.RpcError) as raised:
            echo.call_values("i32", args)
        assert raised.value.code.name == "INVALID_ARGUMENT"
        assert "i32" in str(raised.value)


def test_no_such_export(echo: wasmd.Module) -> None:
    with pytest.raises(wasmd.NotFound):
        echo.call("absent")
    with pytest.raises(wasmd.NotFound):
        echo.call_values("absent")
