"""What the drivers compile.py, compute.py, simd.py and start.py share: options, peers, medians, the JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import platform
import re
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e/programs"))

from engines import Engine, Node, Wasmtime, cache_dir, find_build_dir, run_process  # noqa: E402


def parse(
    description: str, repetitions: int, in_process: bool = False, switches: dict[str, str] | None = None
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the figures, flat, units at the end of the names")
    parser.add_argument("--build-dir", help="the build to measure (default: build/release)")
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--only", metavar="NAME", action="append", help="just these programs")
    parser.add_argument("--peers-only", action="store_true", help="leave ours out")
    if in_process:
        parser.add_argument("--in-process", action="store_true", help="ours is bin/wasi_run: the engine, no daemon")
    for switch, text in (switches or {}).items():
        parser.add_argument(switch, action="store_true", help=text)
    return parser.parse_args()


def die(message: str) -> None:
    print(f"bench: {message}", file=sys.stderr)
    sys.exit(1)


def fetch(*names: str) -> None:
    """Programs and peers. A missing one is a failure: half a comparison is none."""
    environment = {**os.environ, "CI": "true"}
    if subprocess.run([ROOT / "scripts/programs.sh", *names], env=environment, stdout=sys.stderr, check=False).returncode:
        die("a program or a peer is missing")


# The smallest module: what is left of a process' time is its start.
EMPTY = b"\0asm\x01\0\0\0"


def pinned(argv: list[str]) -> list[str]:
    """On one CPU, always the same."""
    return ["taskset", "-c", str(sorted(os.sched_getaffinity(0))[-1]), *argv]


def cpu_ns(argv: list[str], environment: dict[str, str] | None = None) -> float:
    """User and system time of a process and its children; it must end well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        pinned(argv), capture_output=True, timeout=500, check=False, env={**os.environ, **(environment or {})}
    )
    if done.returncode != 0:
        die(f"{' '.join(argv)}: {done.stderr[-500:]!r}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e9


def wasmtime_binary() -> pathlib.Path:
    binary = Wasmtime.find()
    if binary is None:
        die("wasmtime is missing")
    return binary


def node_binary() -> pathlib.Path:
    binary = Node.find()
    if binary is None:
        die("node is missing")
    return binary.resolve()


def build_dir(options: argparse.Namespace, *needed: str) -> pathlib.Path:
    given = options.build_dir or os.environ.get("WASMD_BUILD_DIR") or str(ROOT / "build/release")
    folder = pathlib.Path(given).resolve()
    for name in needed:
        if not (folder / name).exists():
            die(f"there is no {name} in {folder}; build it first")
    return folder


def geometric_mean(values: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def hand_off_probe_ns() -> float | None:
    """How far apart the machine's two CPUs are: one cache line handed back and forth by two threads
    of a C program, ns one way. About 70: one core's two threads; 130: near; 480: far."""
    source = ROOT / "tests/bench/hand_off.c"
    binary = cache_dir() / "hand_off"
    try:
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["clang-19", "-O2", "-pthread", source, "-o", binary], check=True, timeout=60)
        return float(subprocess.run([binary], capture_output=True, text=True, check=True, timeout=60).stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def machine() -> dict[str, object]:
    cpu = ""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "machine_cpu": cpu,
        "machine_cpus_count": len(os.sched_getaffinity(0)),
        "machine_kernel": platform.release(),
        "machine_load": os.getloadavg()[0],
        "machine_hand_off_ns": hand_off_probe_ns(),
        "commit": commit + ("-dirty" if dirty else ""),
        "time_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def finish(options: argparse.Namespace, figures: dict[str, object]) -> None:
    """Prints where it was measured; writes --json."""
    about = {**machine(), "repetitions_count": options.repetitions}
    print("\n" + ", ".join(f"{key.removeprefix('machine_')} {value}" for key, value in about.items()))
    if options.json:
        rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in {**about, **figures}.items()}
        pathlib.Path(options.json).write_text(json.dumps(rounded, indent=2) + "\n")


def table(header: list[str], rows: list[list[object]]) -> None:
    cells = [header] + [[f"{c:.2f}" if isinstance(c, float) else "–" if c is None else str(c) for c in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for number, row in enumerate(cells):
        print("| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))) + " |")
        if number == 0:
            print("|" + "|".join("-" * (w + 2) for w in widths) + "|")


def _elapsed_ns(command: list[str]) -> tuple[float, bytes]:
    outcome = run_process(command, timeout_s=300)
    found = re.search(rb"elapsed_ns (\d+)", outcome.stderr)
    if outcome.code != 0 or found is None:
        die(f"{' '.join(command)}: exit code {outcome.code}: {outcome.stderr[-500:].decode(errors='replace')}")
    return float(found[1]), outcome.stdout


def run_time_ratios(
    options: argparse.Namespace,
    bench: str,
    names: list[str],
    groups: dict[str, list[str]],
    engines: list[Engine],
) -> dict[str, object]:
    """Run time over that of the native build, of programs that time their own work and print a checksum
    (tests/guests/compute/bench.h). Engines take turns, round by round; a figure is the median of its
    rounds. Prints the table, with a geometric mean for each group, and returns the figures."""
    figures: dict[str, object] = {}
    rows: list[list[object]] = []
    ratios: dict[tuple[str, str], float] = {}
    for name in names:
        module = cache_dir() / bench / f"{name}.wasm"
        native = [str(cache_dir() / bench / f"{name}.native")]
        samples: dict[str, list[float]] = {engine.name: [] for engine in engines}
        samples["native"] = []
        for _ in range(options.repetitions):
            elapsed, expected = _elapsed_ns(native)
            samples["native"].append(elapsed)
            for engine in engines:
                elapsed, got = _elapsed_ns(engine.command(module, [], [], {}))
                if got != expected:
                    die(f"{name}: {engine.name} computes {got!r}, native {expected!r}")
                samples[engine.name].append(elapsed)
        base = statistics.median(samples["native"])
        figures[f"{bench}_{name}_native_ms"] = base / 1e6
        row: list[object] = [name, base / 1e6]
        for engine in engines:
            ratio = statistics.median(samples[engine.name]) / base
            ratios[name, engine.name] = ratio
            figures[f"{bench}_{name}_{engine.name}_ratio"] = ratio
            row.append(ratio)
        rows.append(row)
    for group, members in groups.items():
        present = [name for name in members if name in names]
        if not present:
            continue
        row = [f"geometric mean, {group} ({len(present)})", None]
        for engine in engines:
            mean = geometric_mean([ratios[name, engine.name] for name in present])
            figures[f"{bench}_geometric_mean_{group}_{engine.name}_ratio"] = mean
            row.append(mean)
        rows.append(row)
    table(["run time / native", "native ms", *(engine.name for engine in engines)], rows)
    return figures


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return result, at


def code_section_bytes(path: pathlib.Path) -> int:
    data = path.read_bytes()
    at = 8
    while at < len(data):
        section = data[at]
        size, at = _leb128(data, at + 1)
        if section == 10:
            return size
        at += size
    return 0


def with_nonce(source: pathlib.Path, target: pathlib.Path, nonce: int) -> None:
    """The same module with another custom section at its end: nothing can have it in a cache."""
    section = b"\x01n" + nonce.to_bytes(8, "little")
    target.write_bytes(source.read_bytes() + b"\x00" + bytes([len(section)]) + section)
