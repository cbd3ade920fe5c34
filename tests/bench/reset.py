#!/usr/bin/env python3
"""What a memory's reset costs, by how many of its pages a guest wrote: ours, and MADV_DONTNEED on all of it.

  scripts/bench.sh reset [--json FILE] [--repetitions N]

bin/bench/reset_probe says what is measured: a memory of 256 MiB with a page of data is taken, pages of 4 KiB are
written (the first ones, or as many all over it), and it is given back. X_cycle_ns is all of that, X_reset_ns the
giving back; the minimum of all samples. For up to 64 pages ours overwrites what was written and keeps it resident;
beyond, it drops all of it, as the other does always.
"""

from __future__ import annotations

import json
import re
import subprocess

from _bench import build_dir, die, finish, parse, table

SAMPLES = 40


def main() -> None:
    options = parse(__doc__, repetitions=3)
    probe = build_dir(options, "bin/bench/reset_probe") / "bin/bench/reset_probe"
    rounds: list[dict[str, float]] = []
    for _ in range(options.repetitions):
        outcome = subprocess.run([probe, str(SAMPLES)], capture_output=True, text=True, timeout=600, check=False)
        if outcome.returncode != 0:
            die(f"{probe}: exit code {outcome.returncode}: {outcome.stderr[-500:]}")
        rounds.append(json.loads(outcome.stdout))
    figures = {f"reset_{key}": min(figures[key] for figures in rounds) for key in rounds[0]}
    rows: list[list[object]] = []
    names = {match[1] for key in figures if (match := re.fullmatch(r"reset_ours_(.*)_cycle_ns", key))}
    for name in sorted(names, key=lambda name: (int(name.split("_")[0]), name)):
        row: list[object] = [name.replace("_", " ")]
        for who in ("ours", "madvise"):
            row += [figures[f"reset_{who}_{name}_{part}_ns"] / 1e3 for part in ("reset", "cycle")]
        rows.append([*row, row[3] / row[1], row[4] / row[2]])
    table(
        ["written", "reset, us", "with take and write", "MADV_DONTNEED, us", "with write", "x reset", "x cycle"], rows
    )
    finish(options, dict(figures))


if __name__ == "__main__":
    main()
