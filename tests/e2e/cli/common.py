"""The harness of the daemon's end-to-end tests, and what wasmctl's own need besides."""

from __future__ import annotations

import os
import pathlib
import pty
import select
import subprocess
import sys
import time
from typing import Any, Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "daemon"))

from harness import (  # noqa: E402, F401
    DEADLINE,
    DONE,
    FAILURE,
    FIB,
    INTERRUPTED,
    TRAP,
    WATCHDOG_S,
    Daemon,
    E2eTest,
    Ended,
    assemble,
    bin_dir,
    ctl_command,
    guest,
    main,
    run_process,
    wasmctl,
)

TERMINATED = 143
# Prints its arguments, argv[0] included.
ECHO_ARGS = """(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; The arguments end in zero bytes; these are written along.
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $args (i32.const 64) (i32.const 4096)))
    (i32.store (i32.const 16) (i32.const 4096))
    (i32.store (i32.const 20) (i32.load (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))))"""

SAY_READY_AND_LOOP = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "\\20\\00\\00\\00\\06\\00\\00\\00")
  (data (i32.const 32) "ready\\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
    (loop $for_ever (br $for_ever))))"""


def wasmctl_command(*words: object) -> list[str]:
    """Without an address."""
    return [str(bin_dir() / "wasmctl"), *map(str, words)]


def environment(**changes: str | None) -> dict[str, str]:
    """Ours without what names a daemon, and with the changes."""
    result = {key: value for key, value in os.environ.items() if key not in ("WASMD_ADDR", "XDG_RUNTIME_DIR")}
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def run_on_terminal(
    command: Sequence[str], *, until: bytes | None = None, keys: bytes = b"", columns: int = 100, **popen: Any
) -> tuple[int, bytes]:
    """Runs it with a terminal for standard input, output and error: the exit code and what it wrote. `keys` are pressed when `until` has
    been seen (at once without)."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **popen,
    )
    os.close(slave)
    seen = b""
    end = time.monotonic() + WATCHDOG_S
    try:
        while time.monotonic() < end:
            if keys and (until is None or until in seen):
                os.write(master, keys)
                keys = b""
            if select.select([master], [], [], 0.05)[0]:
                try:
                    data = os.read(master, 65536)
                except OSError:  # EIO: the last one has closed it.
                    break
                if not data:
                    break
                seen += data
        code = process.wait(max(1, end - time.monotonic()))
        return code, seen
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{command} did not end; it wrote {seen!r}") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
