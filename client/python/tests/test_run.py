"""Whole programs, with their streams."""

from __future__ import annotations

import hashlib
import io
import os
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import wasmd

Guest = Callable[[str], pathlib.Path]


def test_hello(client: wasmd.Client, guest: Guest) -> None:
    result = client.load(guest("hello")).run()
    assert result.exit_code == 0
    assert b"ello" in result.stdout
    assert result.peak_memory_bytes > 0


def test_arguments_and_environment(client: wasmd.Client, guest: Guest) -> None:
    result = client.load(guest("args_env")).run(["prog", "a b", "", "ü", b"\xff"], env={"K": "V", "EMPTY": ""})
    assert result.stdout.split(b"\n") == [
        b"argc 5",
        b"arg 1 [3] a b",
        b"arg 2 [0] ",
        b"arg 3 [2] \xc3\xbc",
        b"arg 4 [1] \xff",
        b"env [3] K=V",
        b"env [6] EMPTY=",
        b"",
    ]


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_stdin_to_stdout(client: wasmd.Client, guest: Guest, size: int) -> None:
    data = os.urandom(size)
    result = client.load(guest("cat")).run(stdin=data)
    assert result.exit_code == 0
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


def test_streams_can_be_files_and_iterables(client: wasmd.Client, guest: Guest, tmp_path: pathlib.Path) -> None:
    cat = client.load(guest("cat"))
    (tmp_path / "in").write_bytes(b"from a file")
    out = io.BytesIO()
    with open(tmp_path / "in", "rb") as file:
        result = cat.run(stdin=file, stdout=out)
    assert (result.stdout, out.getvalue()) == (b"", b"from a file")
    assert cat.run(stdin=(chunk for chunk in (b"one ", b"", b"two"))).stdout == b"one two"


def test_an_input_that_fails_is_heard_of(client: wasmd.Client, guest: Guest) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        client.load(guest("cat")).run(stdin=broken())


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_codes(client: wasmd.Client, guest: Guest, code: int) -> None:
    assert client.load(guest("exit_code")).run(["exit_code", str(code)]).exit_code == code


def test_a_program_that_recurses_for_ever(client: wasmd.Client, guest: Guest) -> None:
    with pytest.raises(wasmd.Trap) as raised:
        client.load(guest("recurse_forever")).run()
    assert raised.value.code in ("stack-overflow", "memory-out-of-bounds")


def test_a_program_that_loops_for_ever(client: wasmd.Client, guest: Guest) -> None:
    with pytest.raises(wasmd.DeadlineExceeded):
        client.load(guest("loop_forever")).run(timeout=0.3)


def test_cancel_of_one_that_waits_for_input(client: wasmd.Client, guest: Guest) -> None:
    release = threading.Event()

    def silent() -> Iterator[bytes]:
        yield b"x"
        release.wait(60)

    cancellation = wasmd.Cancellation()
    threading.Timer(0.3, cancellation.cancel).start()
    started = time.monotonic()
    try:
        with pytest.raises(wasmd.Cancelled):
            client.load(guest("cat")).run(stdin=silent(), cancel=cancellation)
        assert time.monotonic() - started < 30
    finally:
        release.set()


def test_one_that_writes_for_ever_is_stopped_by_its_reader(client: wasmd.Client, guest: Guest) -> None:
    class Full(io.RawIOBase):
        taken = 0

        def write(self, data: object) -> int:
            assert isinstance(data, bytes)
            self.taken += len(data)
            if self.taken > 1_000_000:
                raise OSError("full")
            return len(data)

    with pytest.raises(OSError, match="full"):
        client.load(guest("write_forever")).run(stdout=Full())  # type: ignore[arg-type]


def test_scratch_directories(client: wasmd.Client, guest: Guest) -> None:
    files = client.load(guest("files"))
    try:
        result = files.run(["files", "write", "/t/a", "x" * 5000, ";", "write", "/t/b", "y"], scratch={"/t": 8192})
    except wasmd.Error as error:
        if "this system lets the daemon make no scratch directory" in str(error):
            pytest.skip(str(error))
        raise
    assert (result.exit_code, b"No space left" in result.stdout) == (1, True)
    with pytest.raises(wasmd.Error, match="--max-scratch"):
        files.run(["files", "list", "/t"], scratch={"/t": 1 << 40})


def test_roots_of_the_daemon(client: wasmd.Client, guest: Guest, address: str) -> None:
    folder = pathlib.Path(address.removeprefix("unix:")).parent / "shared"
    (folder / "in").write_text("from outside")
    files = client.load(guest("files"))
    result = files.run(["files", "read", "/data/in", ";", "write", "/data/out", "from inside"], roots={"/data": "shared"})
    assert result.exit_code == 0, result.stdout
    assert b"from outside" in result.stdout
    assert (folder / "out").read_text() == "from inside"
    with pytest.raises(wasmd.RpcError, match="nonsense"):
        client.load(guest("files")).run(roots={"/data": "nonsense"})


def test_limits_of_memory(client: wasmd.Client, guest: Guest) -> None:
    result = client.load(guest("allocate_forever")).run(max_memory_bytes=32 << 20, timeout=60)
    assert result.peak_memory_bytes <= 32 << 20
