#!/usr/bin/env python3
"""How late what is overdue or cancelled is stopped, and what it costs that it can be.

  scripts/bench.sh deadline [--json FILE] [--repetitions N] [--late-only | --cost-only]

Lateness (bin/bench/deadline_probe, which says what each way is) on a machine that is otherwise idle, and with
two busy processes on each CPU (`loaded_`): median, 99th percentile and worst of 1,000 interrupts a way, in
microseconds. `control` is a thread that sleeps to the same instants with the same priority: the host itself may be
late. A call over a ring that had not begun when its time came is not counted: nobody ran.

Cost: run time of programs (tests/guests/compute), over that of the native build:
  wasmd            as every guest runs: it can be interrupted at any instruction
  wasmd-deadline   with a deadline an hour away
  wasmd-fuel       metered (docs/deadlines.md)
  wasmtime, -epoch, -fuel   Cranelift: neither, epoch interruption (what its --timeout takes), fuel
and that a deadline changes no byte of machine code: wasmd compiles a module once for calls with and without.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess

from _bench import build_dir, die, fetch, finish, parse, run_time_ratios, table, wasmtime_binary
from engines import Daemon, Wasmd, Wasmtime

SAMPLES = 1000
HOGS_PER_CPU = 2
WAYS = ["control", "ring", "call", "run", "cancel", "ring_cancel", "gone", "shutdown"]
PROGRAMS = ["lua", "bzip2", "zlib", "sqlite", "gemm", "lu", "jacobi", "floyd", "nussinov"]
PLENTY = str(10**17)


def lateness(folder, hogs: int) -> dict[str, object]:
    command = [folder / "bin/bench/deadline_probe", str(SAMPLES), str(hogs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        die(f"deadline_probe: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def measure_lateness(folder) -> dict[str, object]:
    figures: dict[str, object] = {}
    rows: list[list[object]] = []
    for prefix, hogs in (("", 0), ("loaded_", HOGS_PER_CPU * len(os.sched_getaffinity(0)))):
        found = lateness(folder, hogs)
        figures.update({prefix + name: value for name, value in found.items()})
        for way in WAYS:
            rows.append([prefix + way, *(found[f"{way}_late_{what}_us"] for what in ("p50", "p99", "max"))])
    table(["late, us", "p50", "p99", "max"], rows)
    if not figures["real_time"]:
        print("no real-time priority here: watchdog and control run like everything else")
    return figures


def measure_cost(options, folder) -> dict[str, object]:
    fetch("compute", "wasmtime")
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Daemon(folder))
        ours = [("wasmd", []), ("wasmd-deadline", ["--timeout", "1h"]), ("wasmd-fuel", ["--fuel", PLENTY])]
        theirs = [("wasmtime", []), ("wasmtime-epoch", ["-W", "timeout=3600s"]), ("wasmtime-fuel", ["-W", f"fuel={PLENTY}"])]
        engines = [
            *(Wasmd(folder / "bin/wasmctl", daemon.address, name=name, flags=flags) for name, flags in ours),
            *(Wasmtime(wasmtime_binary(), name=name, flags=flags) for name, flags in theirs),
        ]
        names = options.only or PROGRAMS
        figures = run_time_ratios(options, "compute", names, {"all": names}, engines)
    of = {name: figures[f"compute_geometric_mean_all_{name}_ratio"] for name, _ in [*ours, *theirs]}
    figures["deadline_cost_ratio"] = of["wasmd-deadline"] / of["wasmd"]
    figures["fuel_cost_ratio"] = of["wasmd-fuel"] / of["wasmd"]
    figures["wasmtime_epoch_cost_ratio"] = of["wasmtime-epoch"] / of["wasmtime"]
    figures["wasmtime_fuel_cost_ratio"] = of["wasmtime-fuel"] / of["wasmtime"]
    rows = [[name.removesuffix("_ratio"), figures[name]] for name in figures if name.endswith("_cost_ratio")]
    table(["with / without", "ratio"], rows)
    return figures


def main() -> None:
    options = parse(
        __doc__,
        repetitions=5,
        switches={"--late-only": "leave the cost out", "--cost-only": "leave the lateness out"},
    )
    folder = build_dir(options, "bin/bench/deadline_probe", "bin/wasmd", "bin/wasmctl")
    figures: dict[str, object] = {}
    if not options.cost_only:
        figures |= measure_lateness(folder)
    if not options.late_only:
        figures |= measure_cost(options, folder)
    finish(options, figures)


if __name__ == "__main__":
    main()
