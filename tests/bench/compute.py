#!/usr/bin/env python3
"""How fast the code is: run time of C programs over that of the same sources compiled by clang-19 -O2.

  scripts/bench.sh compute [--json FILE] [--repetitions N] [--only NAME]…

The programs (tests/guests/compute) time their own work after a warm-up round and print a checksum, on
which all engines have to agree with the native build. Engines take turns, round by round; a figure is
the median of its rounds.
  wasmd      wasmctl run, against a daemon
  Liftoff    node --liftoff-only
  wasmtime   Cranelift
  Winch      wasmtime's single pass
"""

from __future__ import annotations

import contextlib
import re
import statistics

from _bench import (
    build_dir, cache_dir, die, fetch, finish, geometric_mean, node_binary, parse, table, wasmtime_binary,
)  # fmt: skip
from engines import Daemon, InProcess, Node, Wasmd, Wasmtime, run_process

REAL = ["sqlite", "lua", "zstd", "bzip2", "zlib", "brotli", "sodium", "quickjs", "mark"]
KERNELS = ["gemm", "lu", "jacobi", "floyd", "nussinov"]


def measure(command: list[str], env: dict[str, str] | None = None) -> tuple[float, bytes]:
    outcome = run_process(command, timeout_s=300, env=env)
    found = re.search(rb"elapsed_ns (\d+)", outcome.stderr)
    if outcome.code != 0 or found is None:
        die(f"{' '.join(command)}: exit code {outcome.code}: {outcome.stderr[-500:].decode(errors='replace')}")
    return float(found[1]), outcome.stdout


def main() -> None:
    options = parse(__doc__, repetitions=7, in_process=True)
    names = options.only or REAL + KERNELS
    fetch("compute", "wasmtime", "node")
    with contextlib.ExitStack() as stack:
        engines = []
        if options.in_process:
            engines.append(InProcess(build_dir(options, "bin/wasi_run") / "bin/wasi_run"))
        elif not options.peers_only:
            folder = build_dir(options, "bin/wasmd", "bin/wasmctl")
            daemon = stack.enter_context(Daemon(folder))
            engines.append(Wasmd(folder / "bin/wasmctl", daemon.address))
        engines.append(Node(node_binary(), "liftoff", ["--liftoff-only"]))
        # Compiled ahead: compilation is not what is measured, and Cranelift's is long.
        precompiled = cache_dir() / "peers/cwasm"
        engines.append(Wasmtime(wasmtime_binary(), precompiled))
        engines.append(Wasmtime(wasmtime_binary(), precompiled, "winch"))

        figures: dict[str, object] = {}
        rows = []
        ratios: dict[tuple[str, str], float] = {}
        for name in names:
            module = cache_dir() / "compute" / f"{name}.wasm"
            native = [str(cache_dir() / "compute" / f"{name}.native")]
            samples: dict[str, list[float]] = {engine.name: [] for engine in engines}
            samples["native"] = []
            for _ in range(options.repetitions):
                elapsed, expected = measure(native)
                samples["native"].append(elapsed)
                for engine in engines:
                    elapsed, got = measure(engine.command(module, [], [], {}))
                    if got != expected:
                        die(f"{name}: {engine.name} computes {got!r}, native {expected!r}")
                    samples[engine.name].append(elapsed)
            base = statistics.median(samples["native"])
            figures[f"compute_{name}_native_ms"] = base / 1e6
            row: list[object] = [name, base / 1e6]
            for engine in engines:
                ratio = statistics.median(samples[engine.name]) / base
                ratios[name, engine.name] = ratio
                figures[f"compute_{name}_{engine.name}_ratio"] = ratio
                row.append(ratio)
            rows.append(row)
        for group, members in (("real", REAL), ("kernels", KERNELS), ("all", REAL + KERNELS)):
            present = [name for name in members if name in names]
            if not present:
                continue
            row = [f"geometric mean, {group} ({len(present)})", None]
            for engine in engines:
                mean = geometric_mean([ratios[name, engine.name] for name in present])
                figures[f"compute_geometric_mean_{group}_{engine.name}_ratio"] = mean
                row.append(mean)
            rows.append(row)
    table(["run time / native", "native ms", *(engine.name for engine in engines)], rows)
    finish(options, figures)


if __name__ == "__main__":
    main()
