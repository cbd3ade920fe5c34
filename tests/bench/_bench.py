"""What the drivers compile.py, compute.py and start.py share: options, peers, medians, the JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e/programs"))

from engines import Node, Wasmtime, cache_dir, find_build_dir  # noqa: E402


def parse(description: str, repetitions: int, in_process: bool = False) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the figures, flat, units at the end of the names")
    parser.add_argument("--build-dir", help="the build to measure (default: build/release)")
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--only", metavar="NAME", action="append", help="just these programs")
    parser.add_argument("--peers-only", action="store_true", help="leave ours out")
    if in_process:
        parser.add_argument("--in-process", action="store_true", help="ours is bin/wasi_run: the engine, no daemon")
    return parser.parse_args()


def die(message: str) -> None:
    print(f"bench: {message}", file=sys.stderr)
    sys.exit(1)


def fetch(*names: str) -> None:
    """Programs and peers. A missing one is a failure: half a comparison is none."""
    environment = {**os.environ, "CI": "true"}
    if subprocess.run([ROOT / "scripts/programs.sh", *names], env=environment, stdout=sys.stderr, check=False).returncode:
        die("a program or a peer is missing")


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
