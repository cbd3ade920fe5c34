#!/usr/bin/env python3
"""WASI preview 1, function by function: the programs of tests/guests/wasi under wasmd, and what wasmtime makes of them.

  conformance.py                 runs them under wasmd, by wasmctl run against a daemon of its own; compares with what wasmtime printed when
                                 it was recorded (tests/guests/wasi/recorded), and the table in docs/wasi.md with the results
  conformance.py --live          runs them under wasmtime too, and compares with that
  conformance.py --record        the same, and writes what wasmtime prints to tests/guests/wasi/recorded
  conformance.py --wasmtime FILE this wasmtime instead of the one that scripts/programs.sh fetches, with --live or --record
  conformance.py --write         also writes the table in docs/wasi.md

Every case must pass under wasmd. One that fails under wasmtime must be in tests/guests/wasi/differences.txt, with the reason, and
one that is there must fail under wasmtime. Exit code: 0 all so; 1 not.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from typing import Sequence

import cases
import peer
from cases import Case, Known
from runs import RUNS, Run

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "programs"))
from engines import Daemon, Wasmtime, cache_dir, find_build_dir, scratch_dir  # noqa: E402

ROOT = cases.ROOT
WATCHDOG_S = 60
TRAP = 134


class Failure(Exception):
    """A run that printed something else than cases."""


class Wasmd:
    """wasmctl run. With a folder `root`, nothing is passed: streams travel through the connection, and that folder is the directory. With
    `scratch`, the directory is one of the daemon's scratch directories."""

    name = "wasmd"

    def __init__(self, wasmctl: pathlib.Path, address: str, root: pathlib.Path | None = None, scratch: bool = False) -> None:
        self._wasmctl = wasmctl
        self._address = address
        self.root = root
        self.scratch = scratch
        if root is not None:
            self.name = "wasmd, streamed"
        if scratch:
            self.name = "wasmd, scratch"

    def has_scratch(self, module: pathlib.Path) -> str:
        """Empty, or why the daemon has no scratch directories here."""
        command = [self._wasmctl, "run", "--address", self._address, "--scratch", "/", module, "--", "null"]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WATCHDOG_S)
        return ended.stderr.strip() if "scratch" in ended.stderr else ""

    def can(self, run: Run) -> bool:
        if self.scratch:
            return run.dirs == ("/",) and not run.one_by_one
        return self.root is None or run.streamed

    def command(self, run: Run, module: pathlib.Path, folders: Sequence[pathlib.Path]) -> list[str]:
        command = [str(self._wasmctl), "run", "--address", self._address]
        if self.root is not None:
            command += ["--no-pass-fds", "--root", f"cases::{run.dirs[0]}"]
        elif self.scratch:
            command += ["--scratch", f"{run.dirs[0]}=16M"]
        else:
            for index, (folder, guest) in enumerate(zip(folders, run.dirs, strict=True)):
                command += ["--dir", f"{folder}::{guest}" + (":ro" if run.read_only and index == 0 else "")]
        for name, value in run.env:
            command += ["--env", f"{name}={value}"]
        return [*command, str(module), "--"]

    def socket_options(self, listener: socket.socket) -> list[str]:
        return ["--listen-fd", str(listener.fileno())]

    @staticmethod
    def trapped(code: int, stderr: str) -> bool:
        return code == TRAP and "wasmctl: " in stderr


class Peer:
    """wasmtime's command line."""

    name = "wasmtime"
    root = None

    def __init__(self, binary: pathlib.Path) -> None:
        self._wasmtime = Wasmtime(binary, cache_dir() / "peers/cwasm")
        self.version = " ".join(subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[:2])

    def can(self, run: Run) -> bool:
        return run.wasmtime in ("", self.version.split()[-1])

    @staticmethod
    def trapped(code: int, stderr: str) -> bool:
        # What its functions refuse ends with 1, as a refused exit code does.
        refused = "failed to run main module" in stderr and "exit status" not in stderr
        return code == TRAP or code == 1 and refused

    def command(self, run: Run, module: pathlib.Path, folders: Sequence[pathlib.Path]) -> list[str]:
        dirs = [(str(folder), guest) for folder, guest in zip(folders, run.dirs, strict=True)]
        return self._wasmtime.command(module, [], dirs, dict(run.env))

    def socket_options(self, listener: socket.socket) -> list[str]:
        # It listens itself: of its two implementations only the older one takes sockets.
        host, port = listener.getsockname()
        listener.close()
        return ["-S", "preview2=n", "-S", f"tcplisten={host}:{port}"]


def make_folders(run: Run, scratch: pathlib.Path, root: pathlib.Path | None) -> list[pathlib.Path]:
    folders = []
    for index in range(len(run.dirs)):
        folder = root if root is not None else scratch / str(index)
        folder.mkdir(exist_ok=True)
        folders.append(folder)
    if run.read_only:
        (folders[0] / "file").write_bytes(b"0123456789")
        (folders[0] / "folder").mkdir()
        (folders[0] / "folder/inner").write_bytes(b"inner")
        (folders[0] / "link").symlink_to("file")
    return folders


def empty(folder: pathlib.Path) -> None:
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


def execute(command: Sequence[str], run: Run, listener: socket.socket | None, pass_fds: Sequence[int]) -> tuple[int, list[str], str]:
    """Exit code, lines of standard output without those to the client, standard error."""
    with contextlib.ExitStack() as stack:
        stdin: int
        feed = None
        if run.stdin == "null":
            stdin = os.open(os.devnull, os.O_RDONLY)
        elif run.stdin == "file":
            file = stack.enter_context(tempfile.TemporaryFile())
            file.write(run.input)
            file.seek(0)
            stdin = os.dup(file.fileno())
        else:
            stdin, feed = os.pipe()
            os.write(feed, run.input)
            if run.stdin in ("end", "pipe"):
                os.close(feed)
                feed = None
        stderr = stack.enter_context(tempfile.TemporaryFile())
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, pass_fds=pass_fds)
        os.close(stdin)
        watchdog = threading.Timer(WATCHDOG_S, process.kill)
        watchdog.start()
        client = peer.Client(listener.getsockname()) if listener is not None else None
        lines = []
        try:
            assert process.stdout is not None
            for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip("\n")
                if line.startswith("-- "):
                    if client is None:
                        raise Failure(f"there is no client to {line!r}")
                    client.do(line[3:])
                else:
                    lines.append(line)
            code = process.wait()
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            if feed is not None:
                os.close(feed)
            if client is not None:
                client.close()
        stderr.seek(0)
        return code, lines, stderr.read().decode(errors="replace")


def run_once(engine, run: Run, module: pathlib.Path, args: Sequence[str]) -> tuple[int, list[str], str]:
    with scratch_dir() as scratch, contextlib.ExitStack() as stack:
        if engine.root is not None:
            empty(engine.root)
        folders = make_folders(run, scratch, engine.root)
        command = engine.command(run, module, folders)
        address = None
        fds: list[int] = []
        if run.socket:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            address = peer.Address(listener.getsockname())
            listener.listen(16)
            listener.setblocking(True)
            fds = [listener.fileno()]
            command[2:2] = engine.socket_options(listener)
            fds = [fd for fd in fds if listener.fileno() >= 0]
        return execute([*command, *args], run, address, fds)


def outcomes(engine, run: Run, module: pathlib.Path) -> list[str]:
    """The lines of a program whose cases are runs of their own."""
    code, listed, stderr = run_once(engine, run, module, ["--list"])
    if code != 0 or not listed:
        raise Failure(f"--list: exit code {code}: {stderr[-300:]}")

    def one(number: int) -> str:
        how, function, name = listed[number].split("|")
        code, lines, stderr = run_once(engine, run, module, [str(number)])
        key = f"{function}: {name}"
        if how == "ok" and code == 0 and len(lines) == 1:
            return lines[0]
        if how == "trap":
            failure = "" if engine.trapped(code, stderr) and not lines else f"it ended with exit code {code}, no trap"
        elif how == "ok":
            failure = "it trapped" if engine.trapped(code, stderr) else f"it ended with exit code {code}"
        else:
            failure = "" if code == int(how.split()[1]) else f"the exit code is {code}, not {how.split()[1]}"
        return f"FAIL {key}: {failure}" if failure else f"ok {key}"

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, range(len(listed))))


def lines_of(engine, run: Run, module: pathlib.Path) -> list[str]:
    if run.one_by_one:
        return outcomes(engine, run, module)
    code, lines, stderr = run_once(engine, run, module, run.args)
    if code != 0 and engine.name == "wasmtime" and engine.trapped(code, stderr):
        return lines  # The case that is lacking then is the one where it trapped.
    if code != 0:
        raise Failure(f"exit code {code} after {len(lines)} cases: {stderr[-400:]}")
    return lines


class Comparison:
    def __init__(self, build_dir: pathlib.Path, them: Peer | None, record: bool) -> None:
        self._guests = build_dir / "guests/wasi"
        self._them = them
        self._record = record
        self._differences = cases.read_differences()
        self.results: list[Known] = []
        self.problems: list[str] = []
        self.missing: list[Run] = []
        self.version = them.version if them is not None else ""

    def problem(self, run: Run, text: str) -> None:
        self.problems.append(f"{run.name}: {text}")
        print(f"    {text}")

    def _module(self, run: Run) -> pathlib.Path | None:
        for path in (self._guests / run.module, cache_dir() / "programs/wasi" / run.module):
            if path.exists():
                return path
        return None

    def _theirs(self, run: Run, module: pathlib.Path | None, keys: Sequence[str]) -> list[Case] | None:
        """wasmtime's results; None where it cannot run it, or there are none."""
        if run.not_in_wasmtime:
            return None
        if self._them is not None and self._them.can(run) and module is not None:
            try:
                lines = lines_of(self._them, run, module)
            except (Failure, peer.Failure) as failure:
                self.problem(run, f"under wasmtime: {failure}")
                return None
            if len(lines) < len(keys):
                lines.append(f"FAIL {keys[len(lines)]}: it trapped")
            lines += [f"FAIL {key}: it had trapped before" for key in keys[len(lines) :]]
            if self._record:
                cases.write_recorded(run.name, self._them.version, lines)
            return cases.parse(lines, keys)
        try:
            version, lines = cases.read_recorded(run.name)
        except FileNotFoundError:
            self.problem(run, "nothing is recorded of wasmtime; scripts/conformance.sh wasi --record")
            return None
        if run.wasmtime:
            if version != f"wasmtime {run.wasmtime}":
                self.problem(run, f"recorded with {version}, not {run.wasmtime}")
        elif self.version not in ("", version):
            self.problem(run, f"recorded with {version}, others with {self.version}")
        else:
            self.version = version
        return cases.parse(lines, keys)

    def run(self, run: Run, engines: Sequence[Wasmd]) -> None:
        print(run.name, end="", flush=True)
        module = self._module(run)
        if module is None:
            self.missing.append(run)
            print("  not built")
            # What is known of it stands in the table all the same.
            recorded = self._theirs(run, None, list(self._differences)) or []
            self.results += [Known(Case(c.function, c.name), c, self._differences.get(c.key, "")) for c in recorded]
            return
        ours: list[Case] | None = None
        for engine in engines:
            if not engine.can(run):
                continue
            try:
                got = cases.parse(lines_of(engine, run, module))
            except (Failure, peer.Failure, ValueError) as failure:
                self.problem(run, f"under {engine.name}: {failure}")
                continue
            print(f"  {engine.name}: {len(got)}", end="", flush=True)
            for case in got:
                if case.failure:
                    self.problem(run, f"under {engine.name}: {case}")
            if ours is None:
                ours = got
            elif [case.key for case in got] != [case.key for case in ours]:
                self.problem(run, f"{engine.name} has other cases")
        print()
        if ours is None:
            return
        keys = [case.key for case in ours]
        theirs = self._theirs(run, module, keys)
        if theirs is not None and [case.key for case in theirs] != keys:
            mine, other = set(keys), {case.key for case in theirs}
            self.problem(run, f"wasmtime has other cases (--record?): {sorted(mine ^ other)[:5]}")
            return
        for index, case in enumerate(ours):
            their = theirs[index] if theirs is not None else None
            reason = run.not_in_wasmtime if theirs is None else self._differences.get(case.key, "")
            if their is not None and bool(their.failure) != bool(reason):
                why = "which differences.txt does not have" if their.failure else "and differences.txt says that it does otherwise"
                self.problem(run, f"wasmtime: {their}, {why}")
            self.results.append(Known(case, their, reason))

    def finish(self) -> None:
        seen: set[str] = set()
        for known in self.results:
            if known.ours.key in seen:
                self.problems.append(f"two cases are called {known.ours.key!r}")
            seen.add(known.ours.key)
        for key in self._differences:
            if key not in seen:
                self.problems.append(f"differences.txt has {key!r}, which is no case")
        tested = {known.ours.function for known in self.results}
        self.problems += [f"{name} has no case" for name in cases.functions() if name not in tested]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of runs (default: all, and the table)")
    parser.add_argument("--build-dir", help="where bin/wasmd, bin/wasmctl and guests/ are (default: build/release)")
    parser.add_argument("--no-fetch", action="store_true", help="use what is built; do not call scripts/programs.sh")
    parser.add_argument("--live", action="store_true", help="run wasmtime too")
    parser.add_argument("--record", action="store_true", help="record what it prints; implies --live")
    parser.add_argument("--wasmtime", metavar="FILE", help="another wasmtime")
    parser.add_argument("--write", action="store_true", help="write the table in docs/wasi.md")
    options = parser.parse_args()
    build_dir = find_build_dir(options.build_dir)
    if build_dir is None:
        print("there is no build folder with bin/wasmd and bin/wasmctl", file=sys.stderr)
        return 1
    in_ci = os.environ.get("CI") == "true"
    them = None
    fetch = ["wasi_rust", "wasi_go"] + (["wasmtime"] if options.live or options.record else [])
    if not options.no_fetch and subprocess.run([ROOT / "scripts/programs.sh", *fetch], check=False).returncode != 0:
        return 1
    if options.wasmtime:
        them = Peer(pathlib.Path(options.wasmtime))
    elif options.live or options.record:
        binary = Wasmtime.find()
        if binary is None:
            print("******** SKIPPED: no wasmtime to compare with ********", file=sys.stderr)
            return 1 if in_ci else 0
        them = Peer(binary)

    comparison = Comparison(build_dir, them, options.record)
    with scratch_dir() as scratch:
        root = scratch / "root"
        root.mkdir()
        with Daemon(build_dir, ["--root", f"cases={root}"]) as daemon:
            wasmctl = build_dir / "bin/wasmctl"
            engines = [Wasmd(wasmctl, daemon.address), Wasmd(wasmctl, daemon.address, root)]
            scratch = Wasmd(wasmctl, daemon.address, scratch=True)
            why_not = scratch.has_scratch(build_dir / "guests/wasi/streams.wasm")
            if why_not:
                print(f"******** SKIPPED: scratch directories: {why_not} ********", file=sys.stderr)
            else:
                engines.append(scratch)
            for run in RUNS:
                if not options.names or run.name in options.names:
                    comparison.run(run, engines)
            if not daemon.alive():
                comparison.problems.append("wasmd is gone")
            code = daemon.stop()
            if code != 0:
                comparison.problems.append(f"wasmd's exit code after SIGTERM: {code}")
    if not options.names:
        comparison.finish()
        older = [f"{run.name}: {run.wasmtime}, the last that can" for run in RUNS if run.wasmtime]
        text = cases.table(comparison.results, comparison.version, f" ({'; '.join(older)})" if older else "")
        if options.write and not comparison.problems and not comparison.missing:
            cases.write_table(text)
        elif text != cases.table_in_document():
            comparison.problems.append("the table in docs/wasi.md is not what the results say; scripts/conformance.sh wasi --write")
    failed = sum(bool(known.ours.failure) for known in comparison.results)
    same = sum(known.theirs is not None and not known.theirs.failure for known in comparison.results)
    print(f"\n{len(comparison.results)} cases, {failed} failed, {same} the same under wasmtime, {len(comparison.problems)} problems")
    for problem in comparison.problems:
        print(f"FAILED: {problem}")
    for run in comparison.missing:
        print(f"******** SKIPPED: {run.module} is not built ({run.language}) ********", file=sys.stderr)
    return 1 if comparison.problems or (comparison.missing and in_ci) else 0


if __name__ == "__main__":
    sys.exit(main())
