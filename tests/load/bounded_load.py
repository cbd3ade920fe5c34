"""Loading is bounded: what a module has twice as many of takes twice the instructions, and a module of 1 MB no more than 256 MiB
and about 2 s of a CPU's instructions.

bounded_load.py LOAD_COST [FAMILY …]: runs LOAD_COST (load_cost.cc), which loads a module with so many functions, locals, arms and so
on and compiles all of it. Instructions of Engine::Load are counted by callgrind, so that nothing depends on the machine's load.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import subprocess
import sys

COUNT = 6_000
# What is a lot by itself.
COUNTS = {"wide_blocks": 400, "wide_calls": 100, "functions_of_many_locals": 300}
# Doubling what is linear, plus what grows by itself: tables that double, the logarithm of a sort.
MOST_GROWTH = 2.4
MODULE_BYTES = 1_000_000
# As callgrind counts: a byte that a string instruction moves is one.
MOST_INSTRUCTIONS = 16e9
MOST_MEMORY_KIB = 256 << 10


def count_of_bytes(program: str, family: str) -> int:
    """How many make a module of MODULE_BYTES, or as many as there may be."""
    thousand = load(program, family, 1_000)["module_bytes"] - load(program, family, 500)["module_bytes"]
    most = {"locals": 49_990, "local_groups": 49_990, "locals_and_labels": 49_990, "data_segments": 100_000, "tables": 100_000}
    return min(MODULE_BYTES * 500 // thousand, most.get(family, 524_000))


def load(program: str, family: str, count: int) -> dict:
    return json.loads(subprocess.run([program, family, str(count)], check=True, capture_output=True, timeout=100).stdout)


def instructions(program: str, family: str, count: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*CountedLoad*"]
    ended = subprocess.run([*command, program, family, str(count)], check=True, capture_output=True, text=True, timeout=280)
    found = re.search(r"Collected\s*:\s*(\d+)", ended.stderr)
    assert found, ended.stderr
    return int(found[1])


def check(program: str, family: str) -> tuple[str, bool]:
    count = COUNTS.get(family, COUNT)
    # Less what one module costs whatever is in it.
    least, once, twice = (instructions(program, family, n) for n in (1, count, 2 * count))
    growth = (twice - least) / (once - least)
    many = count_of_bytes(program, family)
    big = load(program, family, many)
    # What is refused is refused on the way.
    total = (once - least) / count * many if big["status"] == "OK" else 0
    good = growth <= MOST_GROWTH and big["peak_kib"] <= MOST_MEMORY_KIB and total <= MOST_INSTRUCTIONS
    line = (
        f"{family:26} x{count:<6} {(once - least) / count:10.0f} instructions each, {growth:.2f} times for twice as many; "
        f"{many:7} in {big['module_bytes'] / 1e6:.1f} MB: {big['status']}, {big['peak_kib'] / 1024:.0f} MiB, {big['cpu_ms']:.0f} ms of CPU"
    )
    return line + ("" if good else "  TOO MUCH"), good


def main() -> int:
    program = sys.argv[1]
    families = sys.argv[2:] or subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda family: check(program, family), families))
    for line, _ in results:
        print(line)
    return 0 if families and all(good for _, good in results) else 1


if __name__ == "__main__":
    sys.exit(main())
