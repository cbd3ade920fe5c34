"""What the end-to-end tests of wasmd and wasmctl share: a daemon in a temporary folder, wasmctl as
a process, small modules, and the check that ends every test: the daemon lives and a call works.

The binaries are those of WASMD_BIN_DIR (default: build/release/bin), the guest programs those of
WASMD_GUESTS_DIR (default: built by tests/guests/build.sh into a temporary folder). Modules that have
no need of C are written as text and made by Debian's wat2wasm.

WASMD_TEST_SANDBOX names the --sandbox of every daemon that says nothing of it itself (default: the daemon's own).
With strict, the folder for temporary files is a --root, so that tests' directories are beneath one.

Time limits here are watchdogs, far from what things take: a slow machine fails no test. Where the
time matters it is measured and printed.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from typing import Any, Callable, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[3]
WATCHDOG_S = 60.0
MIB = 1 << 20

# How wasmctl ends, as client/cli/exit_code.h says.
DONE = 0
DEADLINE = 124
FAILURE = 125
INTERRUPTED = 130
TRAP = 134


def note(text: str) -> None:
    """A figure for whoever reads the test's output."""
    print(f"[measured] {text}", file=sys.stderr, flush=True)


@functools.cache
def bin_dir() -> pathlib.Path:
    folder = pathlib.Path(os.environ.get("WASMD_BIN_DIR") or ROOT / "build/release/bin").resolve()
    for name in ("wasmd", "wasmctl"):
        if not os.access(folder / name, os.X_OK):
            raise RuntimeError(f"no {name} in {folder}; set WASMD_BIN_DIR to where the binaries are")
    return folder


@functools.cache
def guests_dir() -> pathlib.Path:
    given = os.environ.get("WASMD_GUESTS_DIR")
    if given:
        return pathlib.Path(given).resolve()
    folder = tempfile.mkdtemp(prefix="wasmd-guests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([ROOT / "tests/guests/build.sh", folder], check=True, timeout=300)
    return pathlib.Path(folder)


def guest(name: str) -> pathlib.Path:
    path = guests_dir() / f"{name}.wasm"
    if not path.exists():
        raise RuntimeError(f"no {path}: build the target wasmd_guests")
    return path


def assemble(text: str, path: pathlib.Path) -> pathlib.Path:
    """Writes the module that the text describes."""
    source = path.with_suffix(".wat")
    source.write_text(text)
    subprocess.run(["wat2wasm", "--enable-all", source, "-o", path], check=True, timeout=WATCHDOG_S)
    return path


@dataclasses.dataclass
class Ended:
    """What a process left."""

    code: int  # Negative: ended by that signal.
    stdout: bytes
    stderr: str
    seconds: float


def status_bytes(pid: int, key: str) -> int:
    """A size of /proc/PID/status: "VmHWM", "VmRSS"."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key} of {pid}")


def sandbox_options() -> list[str]:
    mode = os.environ.get("WASMD_TEST_SANDBOX")
    if not mode:
        return []
    return ["--sandbox", mode, *(["--root", f"tmp={tempfile.gettempdir()}"] if mode == "strict" else [])]


def as_nobody() -> dict[str, Any]:
    """Arguments of Popen that make the process nobody's, where root runs the tests: root may do
    everything, so that nothing could be forbidden to it. Others run it as themselves."""
    if os.geteuid() != 0:
        return {}
    return {"user": 65534, "group": 65534, "extra_groups": []}


class Daemon:
    """A wasmd on a unix socket. Unless a socket is given it lies in a folder of its own, which goes
    with it."""

    wrapper: Sequence[str] = ()  # A command that becomes wasmd: ["prlimit", "--nofile=64"].

    def __init__(
        self, options: Sequence[str] = (), socket_path: pathlib.Path | None = None, **popen: Any
    ) -> None:
        self._folder: pathlib.Path | None = None
        if socket_path is None:
            self._folder = pathlib.Path(tempfile.mkdtemp(prefix="wasmd-e2e-"))
            socket_path = self._folder / "wasmd.sock"
        self.socket_path = socket_path
        self._log = tempfile.TemporaryFile(prefix="wasmd-e2e-log-")
        self.process = subprocess.Popen(
            # Where the test is killed (ctest's TIMEOUT), the daemon goes with it.
            [
                "setpriv", "--pdeathsig", "KILL", *self.wrapper,
                bin_dir() / "wasmd", "--listen", self.address, *sandbox_options(), *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            **popen,
        )
        self._wait_until_it_serves()

    @property
    def address(self) -> str:
        return f"unix:{self.socket_path}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def _wait_until_it_serves(self) -> None:
        end = time.monotonic() + WATCHDOG_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.socket_path))
                if wasmctl(self, "health").code == DONE:
                    return
            except OSError:
                pass
            time.sleep(0.005)
        log = self.log()
        self.kill()
        raise RuntimeError(f"wasmd does not serve at {self.address}; it said:\n{log}")

    def log(self) -> str:
        self._log.flush()
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")

    def alive(self) -> bool:
        return self.process.poll() is None

    def peak_bytes(self) -> int:
        return status_bytes(self.pid, "VmHWM")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(WATCHDOG_S)

    def kill(self) -> None:
        """SIGKILL, and the folder with what is left in it."""
        if self.alive():
            self.process.kill()
        self.process.wait()
        self._log.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def ctl_command(daemon: Daemon | str, command: str, *words: object) -> list[str]:
    address = daemon if isinstance(daemon, str) else daemon.address
    # "module ls": the options belong to the inner command.
    return [str(bin_dir() / "wasmctl"), *command.split(), "-a", address, *map(str, words)]


def run_process(command: Sequence[str], stdin: bytes = b"", **popen: Any) -> Ended:
    """Runs it to its end."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen
    )
    try:
        out, err = process.communicate(stdin, timeout=WATCHDOG_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(
            f"{' '.join(map(str, command))} did not end within {WATCHDOG_S} s; stderr: {err!r}"
        ) from None
    return Ended(process.returncode, out, err.decode(errors="replace"), time.monotonic() - start)


def wasmctl(daemon: Daemon | str, command: str, *words: object, stdin: bytes = b"", **popen: Any) -> Ended:
    return run_process(ctl_command(daemon, command, *words), stdin, **popen)


class Client:
    """A wasmctl that goes on while the test does."""

    def __init__(self, daemon: Daemon, command: str, *words: object) -> None:
        self._start = time.monotonic()
        self.process = subprocess.Popen(
            ctl_command(daemon, command, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self._start

    def read_line(self) -> bytes:
        """The next line of its standard output, byte by byte: what follows stays in the pipe."""
        assert self.process.stdout is not None
        line = b""
        end = time.monotonic() + WATCHDOG_S
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"no line on standard output, but {line!r}")
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                raise AssertionError(f"standard output ended after {line!r}: {self.end().stderr}")
            line += byte
        return line

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, stdin: bytes | None = None) -> Ended:
        """Closes its standard input and waits."""
        start = time.monotonic()
        try:
            out, err = self.process.communicate(stdin, timeout=WATCHDOG_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"wasmctl {self.pid} did not end within {WATCHDOG_S} s") from None
        return Ended(
            self.process.returncode, out, err.decode(errors="replace"), time.monotonic() - start
        )

    def wait(self) -> int:
        """Waits, with its standard input left open and its output unread."""
        return self.process.wait(WATCHDOG_S)

    def dispose(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass


FIB = """(module
  (func $fib (export "fib") (param $n i32) (result i64)
    (if (result i64) (i32.lt_s (local.get $n) (i32.const 2))
      (then (i64.extend_i32_s (local.get $n)))
      (else (i64.add (call $fib (i32.sub (local.get $n) (i32.const 1)))
                     (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (global $count (mut i32) (i32.const 0))
  (memory (export "memory") 1)
  (func (export "increment") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (i32.add (i32.mul (global.get $count) (i32.const 100)) (i32.load (i32.const 8))))
  (func (export "loop") (loop $again (br $again)))
  (func $deeper (export "recurse") (param i32) (result i32)
    (i32.add (i32.const 1) (call $deeper (i32.add (local.get 0) (i32.const 1)))))
  (func (export "grow") (result i32)
    (local $pages i32)
    (loop $again
      (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (memory.size))
  (func (export "mixed") (param i32 i64 f32 f64) (result f64)
    (f64.add (f64.add (f64.convert_i32_s (local.get 0)) (f64.convert_i64_s (local.get 1)))
             (f64.add (f64.promote_f32 (local.get 2)) (local.get 3))))
)"""


class E2eTest(unittest.TestCase):
    """One daemon a class (one a test, where a test ended it), with `options`. Every test ends with
    the check that it lives, that nothing runs in it any more, and that a call works."""

    options: Sequence[str] = ()
    daemon: Daemon

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="wasmd-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.module = assemble(FIB, cls.folder / "module.wasm")
        cls.daemon = Daemon(cls.options)
        cls.addClassCleanup(lambda: cls.daemon.kill())

    def setUp(self) -> None:
        if not self.daemon.alive():
            self.daemon.kill()
            type(self).daemon = Daemon(self.options)
        # Cleanups run last first: the clients go, then the daemon is looked at.
        self.addCleanup(self.check_daemon)

    def check_daemon(self) -> None:
        self.assertTrue(
            self.daemon.alive(),
            f"wasmd ended with {self.daemon.process.returncode}:\n{self.daemon.log()}",
        )
        self.wait_until_idle(self.daemon)
        self.check_call(self.daemon)

    def check_call(self, daemon: Daemon) -> None:
        ended = wasmctl(daemon, "call", self.module, "fib", 20)
        self.assertEqual((ended.code, ended.stdout, ended.stderr), (DONE, b"6765\n", ""))

    # -- Clients and daemons that end with the test.

    def start_client(self, command: str, *words: object, daemon: Daemon | None = None) -> Client:
        client = Client(daemon or self.daemon, command, *words)
        self.addCleanup(client.dispose)
        return client

    def start_daemon(
        self, *options: str, socket_path: pathlib.Path | None = None, **popen: Any
    ) -> Daemon:
        daemon = Daemon(options, socket_path, **popen)
        self.addCleanup(daemon.kill)
        return daemon

    def start_wasmd_in_vain(self, *options: object, **popen: Any) -> Ended:
        """A wasmd that should say why it cannot start. One that does start is a failure."""
        return run_process([str(bin_dir() / "wasmd"), *map(str, options)], **popen)

    def ctl(self, command: str, *words: object, stdin: bytes = b"") -> Ended:
        return wasmctl(self.daemon, command, *words, stdin=stdin)

    # -- Checks.

    def assert_one_line(self, stderr: str, program: str, *words: str) -> None:
        """Exactly one line, which begins with the program's name and says all of `words`."""
        self.assertRegex(stderr, rf"\A{program}: [^\n]+\n\Z", "not one clear line")
        self.assertLess(len(stderr), 600, stderr)
        for word in words:
            self.assertIn(word, stderr)

    def assert_refused(self, ended: Ended, *words: str) -> None:
        """wasmctl could not do it and says why."""
        self.assertEqual(ended.code, FAILURE, ended)
        self.assertEqual(ended.stdout, b"")
        self.assert_one_line(ended.stderr, "wasmctl", *words)

    # -- What the daemon does just now.

    def stats(self, daemon: Daemon | None = None) -> dict[str, Any]:
        ended = wasmctl(daemon or self.daemon, "top", "-n", 1, "-o", "json")
        self.assertEqual(ended.code, DONE, ended)
        return json.loads(ended.stdout)

    def wait_for(self, what: str, condition: Callable[[], bool]) -> float:
        """Seconds until it holds."""
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > WATCHDOG_S:
                self.fail(f"not within {WATCHDOG_S} s: {what}")
            time.sleep(0.005)
        return time.monotonic() - start

    def wait_until_idle(self, daemon: Daemon | None = None) -> float:
        last: list[Any] = []

        def idle() -> bool:
            last[:] = self.stats(daemon)["activities"]
            return not last

        try:
            return self.wait_for("nothing runs in wasmd", idle)
        except AssertionError as error:
            raise AssertionError(f"{error}, but {last}") from None

    def wait_until_running(self, count: int, daemon: Daemon | None = None) -> None:
        self.wait_for(
            f"{count} invocations run", lambda: len(self.stats(daemon)["activities"]) == count
        )


def in_background(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    unittest.main(verbosity=2)
