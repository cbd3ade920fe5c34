#!/usr/bin/env python3
"""Runs real programs under wasmd and under wasmtime and compares what they leave, byte for byte.

  tests/e2e/programs/run.py [PATTERN…]     patterns select by "program" or "program: workload"

Both get the same arguments, environment, folder and stdin. Compared are stdout, stderr, the exit code,
and the folder afterwards (names, kinds, sizes, permissions, contents, targets of links). One thing alone
is normalised: where both exit with 134 (a trap), what the *runner* says about it is cut from stderr
(everything from "Error: failed to run main module" on for wasmtime, from "wasmctl: " on for
wasmctl); what the guest wrote itself still has to be equal.

Programs come from scripts/programs.sh, which this script calls, and from the build folder's guests/.
A program that could not be fetched is skipped, loudly; with CI=true that fails.

--json FILE and --table measure too: wasmtime then compiles each time (as `wasmtime run` of a module that
it has not seen does) instead of once, and wasmd's daemon is restarted before each workload. Native runs
are there where the program has a native build with the same command line.

Exit code: 0 all equal, 1 a difference or a failure.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import time

from engines import (
    ROOT,
    Daemon,
    Engine,
    InProcess,
    Outcome,
    Wasmd,
    Wasmtime,
    cache_dir,
    find_build_dir,
    run_process,
    scratch_dir,
)
from workloads import Step, Workload, all_workloads

# 200 MB through stdin and back must not pile up anywhere: the daemon's peak memory stays below this.
# Measured: 18 MB with the descriptors passed, 22 MB streamed.
PEAK_MEMORY_LIMIT_BYTES = 64 << 20
CAT_BYTES = 200_000_000


def fill(folder: pathlib.Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def snapshot(folder: pathlib.Path) -> dict[str, str]:
    """A line for each entry below `folder`. Permissions of links mean nothing."""
    entries: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        name = str(path.relative_to(folder))
        if stat.S_ISLNK(info.st_mode):
            entries[name] = f"link to {os.readlink(path)}"
        elif stat.S_ISDIR(info.st_mode):
            entries[name] = f"dir {stat.S_IMODE(info.st_mode):o}"
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            entries[name] = f"file {stat.S_IMODE(info.st_mode):o} {info.st_size} {digest}"
    return entries


class Result:
    """All steps of one workload under one engine."""

    def __init__(self, outcomes: list[Outcome], entries: dict[str, str]) -> None:
        self.outcomes = outcomes
        self.entries = entries

    @property
    def first_output_s(self) -> float | None:
        return self.outcomes[0].first_output_s

    @property
    def wall_s(self) -> float:
        return sum(outcome.wall_s for outcome in self.outcomes)


def run_workload(workload: Workload, command, fixed_folder: pathlib.Path | None = None) -> Result:
    """`command(step, folder)` gives the argument list, the working folder and the environment."""
    outcomes: list[Outcome] = []
    with scratch_dir() as scratch:
        folder = fixed_folder or scratch / "data"
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():  # The folder itself stays: the daemon has it open.
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        fill(folder, workload.content())
        for step in workload.steps:
            data = step.input()
            stdin: bytes | pathlib.Path | None = data
            if data is not None and not step.stdin_pipe:
                stdin = scratch / "stdin"
                stdin.write_bytes(data)
            argv, cwd, env = command(step, folder)
            outcomes.append(
                run_process(argv, stdin=stdin, timeout_s=workload.timeout_s, cwd=cwd, env=env)
            )
        return Result(outcomes, snapshot(folder))


def with_engine(engine: Engine, module: pathlib.Path, workload: Workload) -> Result:
    def command(step: Step, folder: pathlib.Path):
        dirs = [] if workload.guest_dir is None else [(str(folder), workload.guest_dir)]
        return engine.command(module, step.args, dirs, workload.env), None, None

    return run_workload(workload, command, engine.fixed_folder)


def native(binary: pathlib.Path, workload: Workload) -> Result:
    def command(step: Step, folder: pathlib.Path):
        return [str(binary), *step.args], str(folder), workload.env

    return run_workload(workload, command)


def first_difference(a: bytes, b: bytes) -> str:
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    start = max(0, at - 60)
    return (
        f"{len(a)} and {len(b)} bytes, differ at byte {at}:\n"
        f"      ours      …{a[start : at + 100]!r}\n      wasmtime  …{b[start : at + 100]!r}"
    )


def compare(workload: Workload, ours: Result, theirs: Result, us: Engine, them: Engine) -> list[str]:
    problems: list[str] = []
    for number, (step, a, b) in enumerate(zip(workload.steps, ours.outcomes, theirs.outcomes), 1):
        where = f"step {number}: " if len(workload.steps) > 1 else ""
        if b.code != step.code:
            problems.append(
                f"{where}wasmtime exits with {b.code}, the workload expects {step.code}: "
                f"{b.stderr[-300:].decode(errors='replace')}"
            )
        if a.timed_out or b.timed_out:
            problems.append(f"{where}timed out: ours {a.timed_out}, wasmtime {b.timed_out}")
        if a.code != b.code:
            problems.append(
                f"{where}exit code {a.code}, wasmtime's is {b.code}; our stderr ends: "
                f"{a.stderr[-300:].decode(errors='replace')}"
            )
        if a.stdout != b.stdout:
            problems.append(f"{where}stdout: {first_difference(a.stdout, b.stdout)}")
        our_stderr, their_stderr = a.stderr, b.stderr
        if a.code == 134 and b.code == 134:
            our_stderr, their_stderr = us.guest_stderr(a.stderr), them.guest_stderr(b.stderr)
        if our_stderr != their_stderr:
            problems.append(f"{where}stderr: {first_difference(our_stderr, their_stderr)}")
    for name, size in workload.at_least_bytes.items():
        words = theirs.entries.get(name, "absent").split()
        if len(words) < 3 or int(words[2]) < size:
            problems.append(f"{name!r} should have at least {size} bytes, is {' '.join(words)}")
    for name in sorted(ours.entries.keys() | theirs.entries.keys()):
        if ours.entries.get(name) != theirs.entries.get(name):
            problems.append(
                f"{name!r} is {ours.entries.get(name, 'absent')}, "
                f"under wasmtime {theirs.entries.get(name, 'absent')}"
            )
    return problems


def stream_200_mb(engine: Engine, module: pathlib.Path, daemon: Daemon | None) -> list[str]:
    """200 MB through stdin and back, compared by hash, with the daemon's peak memory."""
    block = hashlib.shake_256(b"wasmd").digest(1 << 20)
    sent, got = hashlib.sha256(), hashlib.sha256()
    received = 0

    def send(fd: int) -> None:
        left = CAT_BYTES
        number = 0
        while left > 0:
            part = (number.to_bytes(8, "little") + block[8:])[: min(left, len(block))]
            sent.update(part)
            view = memoryview(part)
            while view:
                view = view[os.write(fd, view) :]
            left -= len(part)
            number += 1

    def receive(data: bytes) -> None:
        nonlocal received
        received += len(data)
        got.update(data)

    outcome = run_process(engine.command(module, [], [], {}), stdin=send, on_stdout=receive, timeout_s=300)
    problems: list[str] = []
    if outcome.code != 0 or outcome.stderr:
        problems.append(f"exit code {outcome.code}, stderr {outcome.stderr[-300:]!r}")
    if received != CAT_BYTES or sent.digest() != got.digest():
        problems.append(f"{received} of {CAT_BYTES} bytes came back, equal: {sent.digest() == got.digest()}")
    print(f"  {CAT_BYTES / outcome.wall_s / 1e6:.0f} MB/s", end="")
    if daemon is not None:
        peak = daemon.peak_memory_bytes()
        print(f", the daemon's VmHWM {peak / 1e6:.0f} MB", end="")
        if peak > PEAK_MEMORY_LIMIT_BYTES:
            problems.append(f"the daemon's peak memory {peak} is over {PEAK_MEMORY_LIMIT_BYTES}")
    return problems


def find_module(program: str, build_dir: pathlib.Path | None) -> pathlib.Path | None:
    candidates = [cache_dir() / "programs" / f"{program}.wasm"]
    if build_dir is not None:
        candidates.insert(0, build_dir / "guests" / f"{program}.wasm")
    return next((path for path in candidates if path.exists()), None)


def format_table(rows: list[dict[str, object]]) -> str:
    header = ["workload", "first output: wasmd", "wasmtime", "native", "run: wasmd", "wasmtime", "native",
              "wasmd/wasmtime", "wasmd/native"]  # fmt: skip

    def ms(value: object) -> str:
        return f"{value:.1f}" if isinstance(value, float) else "–"

    def ratio(a: object, b: object) -> str:
        return f"{a / b:.2f}" if isinstance(a, float) and isinstance(b, float) and b else "–"

    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        ours, theirs, real = row.get("wasmd_run_ms"), row.get("wasmtime_run_ms"), row.get("native_run_ms")
        lines.append(
            f"| {row['workload']} | {ms(row.get('wasmd_first_output_ms'))} | {ms(row.get('wasmtime_first_output_ms'))} | "
            f"{ms(row.get('native_first_output_ms'))} | {ms(ours)} | {ms(theirs)} | {ms(real)} | "
            f"{ratio(ours, theirs)} | {ratio(ours, real)} |"
        )
    return "\n".join(lines) + "\n(milliseconds; a workload's first output is its first step's)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", help="program, or 'program: workload' (shell patterns)")
    parser.add_argument("--build-dir", help="where bin/wasmd, bin/wasmctl and guests/ are (default: build/release)")
    parser.add_argument("--list", action="store_true", help="print the workloads and stop")
    parser.add_argument("--wasmtime-only", action="store_true",
                        help="wasmtime on both sides, to check the workloads themselves")  # fmt: skip
    parser.add_argument("--in-process", action="store_true", help="our engine without the daemon (bin/wasi_run)")
    parser.add_argument("--no-fetch", action="store_true", help="use what the cache has; do not call scripts/programs.sh")
    parser.add_argument("--no-pass-fds", action="store_true", help="streams and folders without passing descriptors")
    parser.add_argument("--table", action="store_true", help="measure, and print a table")
    parser.add_argument("--json", metavar="FILE", help="measure, and write figures to FILE")
    options = parser.parse_args()
    measure = options.table or options.json is not None

    workloads = [
        w for w in all_workloads()
        if not options.patterns
        or any(fnmatch.fnmatch(w.program, p) or fnmatch.fnmatch(f"{w.program}: {w.name}", p) for p in options.patterns)
    ]  # fmt: skip
    if options.list:
        for workload in workloads:
            print(f"{workload.program}: {workload.name}")
        return 0
    if not workloads:
        print("no workload has such a name", file=sys.stderr)
        return 1

    if not options.no_fetch:
        names = ["test"] + (["native"] if measure else [])
        if subprocess.run([ROOT / "scripts/programs.sh", *names], check=False).returncode != 0:
            return 1
    without_daemon = options.wasmtime_only or options.in_process
    if without_daemon:
        build_dir = pathlib.Path(options.build_dir or ROOT / "build/release").resolve()
    else:
        build_dir = find_build_dir(options.build_dir)
    if build_dir is None:
        print("there is no build folder with bin/wasmd and bin/wasmctl", file=sys.stderr)
        return 1
    wasmtime_binary = Wasmtime.find()
    in_ci = os.environ.get("CI") == "true"
    if wasmtime_binary is None:
        print("******** SKIPPED: no wasmtime to compare with ********", file=sys.stderr)
        return 1 if in_ci else 0
    precompiled = None if measure else cache_dir() / "peers/cwasm"
    them = Wasmtime(wasmtime_binary, precompiled)

    rows: list[dict[str, object]] = []
    figures: dict[str, object] = {}
    failed: list[str] = []
    skipped: list[str] = []
    ran = 0

    root: pathlib.Path | None = None

    def go(daemon: Daemon | None) -> None:
        nonlocal ran
        us: Engine
        if options.in_process:
            us = InProcess(build_dir / "bin/wasi_run")
        elif daemon is None:
            us = Wasmtime(wasmtime_binary, cache_dir() / "peers/cwasm")
        else:
            us = Wasmd(build_dir / "bin/wasmctl", daemon.address, root)
        for workload in workloads:
            title = f"{workload.program}: {workload.name}"
            module = find_module(workload.program, build_dir)
            if module is None:
                skipped.append(title)
                continue
            print(title, end="", flush=True)
            if measure and daemon is not None:
                daemon.restart()
            theirs = with_engine(them, module, workload)
            ours = with_engine(us, module, workload)
            problems = compare(workload, ours, theirs, us, them)
            if daemon is not None and not daemon.alive():
                problems.append("wasmd is gone")
                print(daemon.log_path.read_text(errors="replace")[-2000:], file=sys.stderr)
                daemon.restart()
            row: dict[str, object] = {"workload": title}
            results = [(us.name, ours), (them.name, theirs)]
            binary = cache_dir() / "programs" / f"{workload.program}.native"
            if measure and workload.native and binary.exists():
                results.append(("native", native(binary, workload)))
            for name, result in results:
                row[f"{name}_run_ms"] = result.wall_s * 1000
                row[f"{name}_first_output_ms"] = (
                    None if result.first_output_s is None else result.first_output_s * 1000
                )
            rows.append(row)
            ran += 1
            print(f"  {ours.wall_s:.2f} s, wasmtime {theirs.wall_s:.2f} s", end="")
            print("  equal" if not problems else "  DIFFERENT")
            for problem in problems:
                print(f"    {problem}")
            if problems:
                failed.append(title)

        stream = "cat: 200 MB through stdin and back"
        module = find_module("cat", build_dir)
        if module is not None and (not options.patterns or any(fnmatch.fnmatch(stream, p) or p == "cat" for p in options.patterns)):
            print(stream, end="", flush=True)
            if daemon is not None:
                daemon.restart()  # VmHWM from a fresh start.
            problems = stream_200_mb(us, module, daemon)
            if daemon is not None and not options.no_pass_fds:
                # The same with nothing but the gRPC stream between the guest and the client.
                print("; streamed:", end="", flush=True)
                streamed = Wasmd(build_dir / "bin/wasmctl", daemon.address, pathlib.Path("unused"))
                problems += stream_200_mb(streamed, module, daemon)
            ran += 1
            print("  intact" if not problems else "  FAILED")
            for problem in problems:
                print(f"    {problem}")
            if problems:
                failed.append(stream)

    started = time.monotonic()
    if without_daemon:
        go(None)
    else:
        with scratch_dir() as scratch:
            root = scratch / "root" if options.no_pass_fds else None
            extra = []
            if root is not None:
                root.mkdir()
                extra = ["--root", f"programs={root}"]
            with Daemon(build_dir, extra) as daemon:
                go(daemon)
                code = daemon.stop()
            if code != 0:
                failed.append(f"wasmd's exit code after SIGTERM: {code}")
    print(f"\n{ran} workloads, {len(failed)} failed, {len(skipped)} skipped, {time.monotonic() - started:.0f} s")
    for title in failed:
        print(f"FAILED: {title}")
    for title in skipped:
        print(f"******** SKIPPED (the program is not there): {title} ********", file=sys.stderr)
    if options.table:
        print("\n" + format_table(rows))
    if options.json:
        for row in rows:
            key = "".join(c if c.isalnum() else "_" for c in str(row["workload"]).lower())
            for name, value in row.items():
                if name != "workload" and value is not None:
                    figures[f"{key}_{name}"] = round(value, 3)
        pathlib.Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")
    return 1 if failed or (skipped and in_ci) or ran == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
