"""Modules, instances, traps, deadlines, cancel."""

from __future__ import annotations

import os
import pathlib
import threading
import time
from collections.abc import Callable

import pytest

import wasmd

COUNTER = """(module $counter
  (memory (export "memory") 1 4)
  (data (i32.const 8) "hello")
  (global $count (export "count") (mut i32) (i32.const 40))
  (global (export "fixed") i64 (i64.const 7))
  (table (export "table") 2 8 funcref)
  (func (export "add") (param i32) (result i32)
    (global.set $count (i32.add (global.get $count) (local.get 0))) global.get $count)
  (func $peek (export "peek") (param i32) (result i32) (i32.load (local.get 0)))
  (func $outer (export "outer") (param i32) (result i32) (call $peek (local.get 0)))
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "spin") (loop br 0))
  (func $recurse (export "recurse") (call $recurse)))"""

Wat = Callable[[str], bytes]


@pytest.fixture
def counter(client: wasmd.Client, wat: Wat) -> wasmd.Module:
    return client.load(wat(COUNTER), name="counter")


def test_modules_are_known_by_content(client: wasmd.Client, wat: Wat) -> None:
    data = wat(COUNTER)
    module = client.load(data, name="counter")
    assert client.load(data).digest == module.digest
    assert module.digest in client.modules()
    assert client.module(module.digest[:20]).digest == module.digest
    assert client.module(module.digest.removeprefix("sha256:")[:8]).digest == module.digest
    assert module.size_bytes == len(data)


def test_exports_have_types(counter: wasmd.Module) -> None:
    assert str(counter.exports["divide"]) == "(i32, i32) -> i32"
    assert counter.exports["memory"] == wasmd.MemoryType(wasmd.Limits(1, 4))
    assert counter.exports["count"] == wasmd.GlobalType(wasmd.ValType.I32, True)
    assert counter.exports["table"] == wasmd.TableType(wasmd.ValType.FUNCREF, wasmd.Limits(2, 8))


def test_removed_modules_are_gone(client: wasmd.Client, wat: Wat) -> None:
    module = client.load(wat('(module (func (export "removed")))'))
    client.remove(module)
    assert module.digest not in client.modules()
    with pytest.raises(wasmd.NotFound):
        client.module(module.digest)
    with pytest.raises(wasmd.NotFound):
        module.call("removed")


def test_what_is_no_module(client: wasmd.Client, wat: Wat) -> None:
    good = wat(COUNTER)
    for bad in (b"", b"hello", b"\0asm", good[:-1], good[:50]):
        with pytest.raises(wasmd.InvalidModule):
            client.load(bad)
    with pytest.raises(FileNotFoundError):
        client.load("/nonexistent/module.wasm")


def test_a_large_module_arrives_whole(client: wasmd.Client, wat: Wat, tmp_path: pathlib.Path) -> None:
    # A custom section of 3 MB of noise, so that it takes many chunks.
    noise = os.urandom(3_000_000)
    content = bytes([5]) + b"noise" + noise
    size = len(content)
    leb = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 21])
    path = tmp_path / "large.wasm"
    path.write_bytes(wat(COUNTER) + b"\0" + leb + content)
    module = client.load(path, eager=True)
    assert module.name == "large.wasm"
    assert module.call("add", 2) == 42


def test_unknown_imports_are_named(client: wasmd.Client, wat: Wat) -> None:
    module = client.load(wat('(module (import "env" "mystery" (func (param i32))) (func (export "f")))'))
    with pytest.raises(wasmd.RpcError, match="mystery"):
        module.instantiate()
    with pytest.raises(wasmd.RpcError, match="mystery"):
        module.call("f")


def test_module_calls_are_fresh_and_instances_keep_state(counter: wasmd.Module) -> None:
    assert [counter.call("add", 1), counter.call("add", 1)] == [41, 41]
    with counter.instantiate() as one, counter.instantiate() as other:
        assert [one.call("add", 1), one.call("add", 1), other.call("add", 5)] == [41, 42, 45]
        assert one.get_global("count") == 42
        one.set_global("count", -1)
        assert one.call("add", 0) == -1
        assert one.get_global("fixed") == 7
        with pytest.raises(wasmd.RpcError) as raised:
            one.set_global("fixed", 8)
        assert raised.value.code.name == "FAILED_PRECONDITION"
        with pytest.raises(wasmd.NotFound):
            one.get_global("absent")
    with pytest.raises(wasmd.NotFound):
        one.call("add", 1)
    one.drop()


def test_memory(counter: wasmd.Module) -> None:
    with counter.instantiate() as instance:
        assert instance.memory.read(8, 5) == b"hello"
        instance.memory.write(65_532, b"\x01\x02\x03\x04")
        assert instance.call("peek", 65_532) == 0x04030201
        assert instance.memory_named("memory").read(65_530, 6) == b"\0\0\x01\x02\x03\x04"
        for offset, size in ((65_536, 1), (65_535, 2), (2**40, 1), (2**64 - 1, 2)):
            with pytest.raises(wasmd.RpcError) as raised:
                instance.memory.read(offset, size)
            assert raised.value.code.name == "OUT_OF_RANGE"
        with pytest.raises(wasmd.RpcError):
            instance.memory.write(65_535, b"ab")
        assert instance.memory.read(65_535, 1) == b"\x04", "a refused write wrote"


def test_instances_link(client: wasmd.Client, counter: wasmd.Module, wat: Wat) -> None:
    user = client.load(
        wat('(module (import "counter" "add" (func $add (param i32) (result i32)))'
            ' (func (export "twice") (result i32) (drop (call $add (i32.const 1))) (call $add (i32.const 1))))')
    )
    with counter.instantiate() as one, user.instantiate({"counter": one}) as linked:
        assert linked.call("twice") == 42
        assert one.get_global("count") == 42


@pytest.mark.parametrize(
    ("func", "args", "code"),
    [
        ("divide", (1, 0), "divide-by-zero"),
        ("divide", (-(2**31), -1), "integer-overflow"),
        ("outer", (65_536,), "memory-out-of-bounds"),
        ("recurse", (), "stack-overflow"),
    ],
)
def test_traps(counter: wasmd.Module, func: str, args: tuple[int, ...], code: str) -> None:
    with pytest.raises(wasmd.Trap) as raised:
        counter.call(func, *args)
    assert raised.value.code == code
    assert raised.value.frames


def test_backtraces_name_functions(counter: wasmd.Module) -> None:
    with pytest.raises(wasmd.Trap) as raised:
        counter.call("outer", 65_533)
    assert [frame.func_name for frame in raised.value.frames] == ["peek", "outer"]
    assert all(frame.module_offset > 8 for frame in raised.value.frames)


def test_an_instance_survives_a_trap(counter: wasmd.Module) -> None:
    with counter.instantiate() as instance:
        instance.call("add", 1)
        with pytest.raises(wasmd.Trap):
            instance.call("peek", 65_536)
        assert instance.call("add", 1) == 42


def test_a_start_function_that_traps(client: wasmd.Client, wat: Wat) -> None:
    module = client.load(wat("(module (func $start unreachable) (start $start))"))
    with pytest.raises(wasmd.Trap) as raised:
        module.instantiate()
    assert raised.value.code == "unreachable"


def test_deadlines_stop_the_guest(client: wasmd.Client, counter: wasmd.Module) -> None:
    before = client.stats().deadline_exceeded_total
    started = time.monotonic()
    with pytest.raises(wasmd.DeadlineExceeded):
        counter.call("spin", timeout=0.3)
    assert time.monotonic() - started < 20
    deadline = time.monotonic() + 20
    while client.stats().deadline_exceeded_total == before:
        assert time.monotonic() < deadline, "the guest goes on"
        time.sleep(0.02)
    assert counter.call("add", 2) == 42


def test_cancel_stops_the_guest(client: wasmd.Client, counter: wasmd.Module) -> None:
    before = client.stats().cancelled_total
    cancellation = wasmd.Cancellation()
    timer = threading.Timer(0.3, cancellation.cancel)
    timer.start()
    with pytest.raises(wasmd.Cancelled):
        counter.call("spin", cancel=cancellation)
    deadline = time.monotonic() + 20
    while client.stats().cancelled_total == before:
        assert time.monotonic() < deadline, "the guest goes on"
        time.sleep(0.02)
    with pytest.raises(wasmd.Cancelled):
        counter.call("spin", cancel=cancellation)


def test_many_threads(counter: wasmd.Module) -> None:
    results: list[int] = []

    def work() -> None:
        for _ in range(20):
            results.append(counter.call("add", 2))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [42] * 160


def test_the_server_tells_of_itself(client: wasmd.Client) -> None:
    info = client.server_info()
    assert info.version == client.server_version
    assert info.protocol_version == 1
    assert info.workers > 0
    assert client.stats().sessions >= 1
    assert client.roots == ("shared",)
    assert "bulk-memory" in client.wasm_features


def test_sessions_end_with_their_instances(address: str, wat: Wat) -> None:
    one = wasmd.connect(address)
    instance = one.load(wat(COUNTER)).instantiate()
    with wasmd.connect(address) as other:
        stolen = wasmd.Instance(other, other.load(wat(COUNTER)), instance.id)
        with pytest.raises(wasmd.NotFound):
            stolen.call("add", 1)
        before = other.stats().instances
        one.close()
        one.close()
        assert other.stats().instances < before


def test_nobody_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(wasmd.ConnectionFailed, match="no wasmd at"):
        wasmd.connect(f"unix:{tmp_path}/absent.sock")
    for bad in ("unix:", "host", "host:", "host:0", "host:99999"):
        with pytest.raises(ValueError, match="not an address"):
            wasmd.connect(bad)


def test_default_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASMD_ADDR", "host:1")
    assert wasmd.default_address() == "host:1"
    monkeypatch.delenv("WASMD_ADDR")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert wasmd.default_address() == "unix:/run/user/7/wasmd.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    assert wasmd.default_address() == f"unix:/tmp/wasmd-{os.getuid()}.sock"


BYTES = """(module
  (memory (export "memory") 80)
  (global $calls (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func $pair (param i32 i32) (result i32)
    (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
  (func (export "echo") (param i32 i32) (result i32) (call $pair (local.get 0) (local.get 1)))
  (func (export "count") (param i32 i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store8 (i32.const 64) (global.get $calls))
    (call $pair (i32.const 64) (i32.const 1)))
  (func (export "outside") (param i32 i32) (result i32) (call $pair (i32.const -1) (i32.const 2)))
  (func (export "large") (param i32 i32) (result i32) (call $pair (i32.const 0) (i32.const 4194305)))
  (func (export "spin") (param i32 i32) (result i32) (loop br 0) (i32.const 0))
  (func (export "other") (param i32)))"""


def test_byte_strings(client: wasmd.Client, wat: Wat) -> None:
    module = client.load(wat(BYTES), name="bytes")
    for data in (b"", b"hello", bytes(range(256)) * 4, bytes(4 << 20)):
        assert module.call_bytes("echo", data) == data
    assert [module.call_bytes("count", b"") for _ in range(2)] == [b"\x01", b"\x01"]
    with module.instantiate() as instance:
        assert [instance.call_bytes("count", b"") for _ in range(2)] == [b"\x01", b"\x02"]
    with pytest.raises(wasmd.NotFound):
        instance.call_bytes("count", b"")


def test_byte_strings_that_go_wrong(client: wasmd.Client, wat: Wat) -> None:
    module = client.load(wat(BYTES), name="bytes")
    with pytest.raises(wasmd.Trap) as trap:
        module.call_bytes("outside", b"x")
    assert trap.value.code == "memory-out-of-bounds"
    with pytest.raises(wasmd.ResourceExhausted, match="4194304"):
        module.call_bytes("echo", bytes((4 << 20) + 1))
    with pytest.raises(wasmd.RpcError, match="4194305 bytes") as large:
        module.call_bytes("large", b"")
    assert large.value.code.name == "OUT_OF_RANGE"
    with pytest.raises(wasmd.NotFound):
        module.call_bytes("absent", b"")
    with pytest.raises(wasmd.RpcError, match="param i32 i32") as other:
        module.call_bytes("other", b"")
    assert other.value.code.name == "INVALID_ARGUMENT"
    with pytest.raises(wasmd.DeadlineExceeded):
        module.call_bytes("spin", b"", timeout=0.2)
    counter = client.load(wat(COUNTER), name="counter")
    with pytest.raises(wasmd.RpcError, match="on byte strings"):
        counter.call_bytes("divide", b"")


def test_a_guest_in_c_goes_on_after_a_trap(client: wasmd.Client, guest: Callable[[str], pathlib.Path]) -> None:
    with client.load(guest("bytes")).instantiate() as instance:
        # More than there can be: "zeros" traps, and never gives its input back.
        for _ in range(8):
            with pytest.raises(wasmd.Trap):
                instance.call_bytes("zeros", b"4294967295".rjust(4 << 20, b"0"))
        assert instance.call_bytes("zeros", b"3") == bytes(3)
        assert instance.call_bytes("upper", b"abc") == b"ABC"
        with pytest.raises(wasmd.RpcError) as outside:
            instance.memory.read(16 << 20, 1)
        assert outside.value.code.name == "OUT_OF_RANGE", "the inputs of calls that trapped are kept"
