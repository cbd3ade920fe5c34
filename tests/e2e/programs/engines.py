"""The ways to run a program: wasmd (wasmctl against a daemon of our own), wasmtime, node, native.

Every engine gets the same arguments, environment, folders and stdin. Shared by the comparison here and
by the drivers in tests/bench.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from typing import Callable, Iterator, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[3]


def cache_dir() -> pathlib.Path:
    """Where scripts/programs.sh puts things; the same rule as there."""
    if os.environ.get("WASMD_CACHE_DIR"):
        return pathlib.Path(os.environ["WASMD_CACHE_DIR"])
    base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(base) / "wasmd"


@dataclasses.dataclass
class Outcome:
    """What one run of a program left: its exit code, what it wrote, and when."""

    code: int  # Negative: ended by that signal.
    stdout: bytes
    stderr: bytes
    first_output_s: float | None  # From the start of the process to the first byte of stdout or stderr.
    wall_s: float
    timed_out: bool = False


def run_process(
    argv: Sequence[str],
    *,
    stdin: bytes | pathlib.Path | Callable[[int], None] | None = None,
    timeout_s: float = 120.0,
    env: dict[str, str] | None = None,
    cwd: str | None = None,
    on_stdout: Callable[[bytes], None] | None = None,
) -> Outcome:
    """Runs argv to its end or to the time limit.

    stdin: bytes and callables (which get the write end's descriptor) arrive through a pipe, a path as
    the open file, None as /dev/null. With on_stdout, blocks of stdout go there and are not kept.
    """
    feeder: threading.Thread | None = None
    read_end: int
    if isinstance(stdin, pathlib.Path):
        read_end = os.open(stdin, os.O_RDONLY)
    elif stdin is None:
        read_end = os.open(os.devnull, os.O_RDONLY)
    else:
        read_end, write_end = os.pipe()
        os.set_inheritable(write_end, False)

        def feed() -> None:
            # A program need not read all of its input.
            with contextlib.suppress(BrokenPipeError):
                if callable(stdin):
                    stdin(write_end)
                else:
                    view = memoryview(stdin)  # type: ignore[arg-type]
                    while view:
                        view = view[os.write(write_end, view[: 1 << 16]) :]
            os.close(write_end)

        feeder = threading.Thread(target=feed, daemon=True)

    parts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    first: float | None = None
    timed_out = False
    start = time.monotonic()
    process = subprocess.Popen(
        argv,
        stdin=read_end,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    os.close(read_end)
    if feeder:
        feeder.start()
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ, "stdout")  # type: ignore[arg-type]
    selector.register(process.stderr, selectors.EVENT_READ, "stderr")  # type: ignore[arg-type]
    open_streams = 2
    while open_streams:
        left = start + timeout_s - time.monotonic()
        ready = selector.select(max(left, 0)) if left > 0 else []
        if not ready and left <= 0:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            break
        for key, _ in ready:
            block = os.read(key.fd, 1 << 16)
            if not block:
                selector.unregister(key.fileobj)
                open_streams -= 1
                continue
            if first is None:
                first = time.monotonic() - start
            if on_stdout is not None and key.data == "stdout":
                on_stdout(block)
            else:
                parts[key.data].append(block)
    try:
        process.wait(max(start + timeout_s - time.monotonic(), 1.0))
    except subprocess.TimeoutExpired:
        timed_out = True
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    wall = time.monotonic() - start
    process.stdout.close()  # type: ignore[union-attr]
    process.stderr.close()  # type: ignore[union-attr]
    if feeder:
        feeder.join(5)
    return Outcome(
        code=process.returncode,
        stdout=b"".join(parts["stdout"]),
        stderr=b"".join(parts["stderr"]),
        first_output_s=first,
        wall_s=wall,
        timed_out=timed_out,
    )


class Engine:
    """Builds the command that runs a wasm program. `dirs` are (host folder, guest path) pairs."""

    name = ""
    # Where the guest's folder has to be, for an engine that cannot take any.
    fixed_folder: pathlib.Path | None = None

    def command(
        self,
        module: pathlib.Path,
        args: Sequence[str],
        dirs: Sequence[tuple[str, str]],
        env: dict[str, str],
    ) -> list[str]:
        raise NotImplementedError

    def guest_stderr(self, stderr: bytes) -> bytes:
        """What the guest wrote, without what the engine itself says about a trap."""
        return stderr


class Wasmtime(Engine):
    """wasmtime from PyPI. With `precompiled_dir`, compiles each module once and keeps the result
    there, under the module's own name, so that argv[0] stays the same; without, compiles each time.
    """

    def __init__(
        self,
        binary: pathlib.Path,
        precompiled_dir: pathlib.Path | None = None,
        compiler: str = "cranelift",
        name: str | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.name = name or ("wasmtime" if compiler == "cranelift" else compiler)
        self._flags = list(flags)  # Of `run`; those that change code do not go with `precompiled_dir`.
        self._binary = binary
        self._precompiled_dir = precompiled_dir
        self._compiler = compiler

    @staticmethod
    def find() -> pathlib.Path | None:
        binary = cache_dir() / "peers/venv/bin/wasmtime"
        return binary if binary.exists() else None

    def command(self, module, args, dirs, env):
        command = [str(self._binary), "run"]
        if self._precompiled_dir is not None:
            module = self._precompile(module)
            command.append("--allow-precompiled")
        command += ["-C", "cache=n", "-C", f"compiler={self._compiler}", *self._flags]
        for host, guest in dirs:
            command += ["--dir", f"{host}::{guest}"]
        for key, value in env.items():
            command += ["--env", f"{key}={value}"]
        return [*command, str(module), *args]

    def _precompile(self, module: pathlib.Path) -> pathlib.Path:
        assert self._precompiled_dir is not None
        stat = module.stat()
        folder = self._precompiled_dir / f"{stat.st_size}-{stat.st_mtime_ns}-{self._compiler}"
        compiled = folder / module.name
        if not compiled.exists():
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".{module.name}.{os.getpid()}"
            subprocess.run(
                [self._binary, "compile", "-C", f"compiler={self._compiler}", module, "-o", temporary],
                check=True,
                timeout=300,
            )
            temporary.rename(compiled)
        return compiled

    def guest_stderr(self, stderr):
        return re.sub(rb"(?ms)^Error: failed to run main module .*\Z", b"", stderr)


class Wasmd(Engine):
    """`wasmctl run` against a daemon that somebody else keeps running at `address`.

    With `root`, no descriptor is passed: streams travel through the connection, and the guest's folder
    is the one that the daemon was started with as --root programs=ROOT.
    """

    def __init__(
        self,
        wasmctl: pathlib.Path,
        address: str,
        root: pathlib.Path | None = None,
        name: str = "wasmd",
        flags: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._flags = list(flags)  # Of `run`.
        self._wasmctl = wasmctl
        self._address = address
        self.fixed_folder = root

    def command(self, module, args, dirs, env):
        command = [str(self._wasmctl), "run", "--address", self._address, *self._flags]
        if self.fixed_folder is not None:
            command.append("--no-pass-fds")
        for host, guest in dirs:
            if self.fixed_folder is None:
                command += ["--dir", f"{host}::{guest}"]
            else:
                assert host == str(self.fixed_folder)
                command += ["--root", f"programs::{guest}"]
        for key, value in env.items():
            command += ["--env", f"{key}={value}"]
        return [*command, str(module), "--", *args]

    def guest_stderr(self, stderr):
        return re.sub(rb"(?ms)^wasmctl: .*\Z", b"", stderr)


class InProcess(Engine):
    """The engine without the daemon: bin/wasi_run. For finding out which of the two is to blame."""

    name = "wasi_run"

    def __init__(self, wasi_run: pathlib.Path) -> None:
        self._wasi_run = wasi_run

    def command(self, module, args, dirs, env):
        command = [str(self._wasi_run)]
        for host, guest in dirs:
            command += ["--dir", f"{host}::{guest}"]
        for key, value in env.items():
            command += ["--env", f"{key}={value}"]
        return [*command, str(module), *args]

    def guest_stderr(self, stderr):
        return re.sub(rb"(?ms)^(wasi_run|trap): .*\Z", b"", stderr)


class Node(Engine):
    """Node's V8 with node:wasi, through tests/bench/node_wasi.mjs. `flags` choose the tier."""

    def __init__(self, binary: pathlib.Path, name: str = "node", flags: Sequence[str] = ()) -> None:
        self.name = name
        self._binary = binary
        self._flags = list(flags)

    @staticmethod
    def find() -> pathlib.Path | None:
        binary = cache_dir() / "peers/node/node_modules/.bin/node"
        return binary if binary.exists() else None

    def command(self, module, args, dirs, env):
        command = [str(self._binary), "--no-warnings", *self._flags]
        command.append(str(ROOT / "tests/bench/node_wasi.mjs"))
        for host, guest in dirs:
            command += ["--dir", f"{host}::{guest}"]
        for key, value in env.items():
            command += ["--env", f"{key}={value}"]
        return [*command, str(module), *args]


def find_build_dir(given: str | None) -> pathlib.Path | None:
    """The build folder that has wasmd and wasmctl: the given one, WASMD_BUILD_DIR, or release."""
    for candidate in (given, os.environ.get("WASMD_BUILD_DIR"), str(ROOT / "build/release")):
        if candidate:
            folder = pathlib.Path(candidate).resolve()
            if (folder / "bin/wasmd").exists() and (folder / "bin/wasmctl").exists():
                return folder
            if candidate == given:
                return None
    return None


class Daemon:
    """A private wasmd on a unix socket in a temporary folder. Ends with the `with` block."""

    def __init__(self, build_dir: pathlib.Path, extra: Sequence[str] = ()) -> None:
        self._build_dir = build_dir
        self._extra = list(extra)
        self._folder: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.log_path: pathlib.Path | None = None

    @property
    def address(self) -> str:
        return f"unix:{self._folder}/wasmd.sock"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> "Daemon":
        self._folder = tempfile.mkdtemp(prefix="wasmd-programs-")
        self.start()
        return self

    def start(self) -> None:
        assert self._folder is not None
        self.log_path = pathlib.Path(self._folder) / "wasmd.log"
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [self._build_dir / "bin/wasmd", "--listen", self.address, *self._extra],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            health = subprocess.run(
                [self._build_dir / "bin/wasmctl", "health", "--address", self.address],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=30,
                check=False,
            )
            if health.returncode == 0:
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError(f"wasmd does not answer:\n{self.log_path.read_text(errors='replace')}")

    def stop(self) -> int:
        """SIGTERM, and SIGKILL after 20 seconds; the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self._process.returncode

    def restart(self) -> None:
        self.stop()
        self.start()

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def peak_memory_bytes(self) -> int:
        """VmHWM."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmHWM")

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def scratch_dir() -> Iterator[pathlib.Path]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wasmd-programs-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
