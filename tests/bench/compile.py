#!/usr/bin/env python3
"""How fast one thread makes machine code of whole modules, in MB of code section a second of CPU time.

  scripts/bench.sh compile [--json FILE] [--repetitions N] [--only NAME]…

Engines take turns, round by round, pinned to one CPU; a figure is the median of its rounds.
  wasmd        Engine::Load, every function compiled, decoding and validation included (bin/bench/load_time)
  wasmd lazy   Engine::Load, functions left for their first call: decode, validate, prepare
  Liftoff      V8's baseline tier alone, one thread:
               --liftoff --no-wasm-tier-up --no-wasm-lazy-compilation --wasm-num-compilation-tasks=0
  V8 lazy      V8 as it comes: validates, compiles on first call
  Winch, Cranelift   `wasmtime compile`, one thread, less what it needs for an empty module
               (Cranelift every third round: it takes seconds)
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import tempfile

from _bench import (
    build_dir, cache_dir, code_section_bytes, cpu_ns, die, fetch, finish, geometric_mean, node_binary, parse, pinned, table,
    wasmtime_binary, EMPTY, ROOT,
)  # fmt: skip

MODULES = ["sqlite", "quickjs", "cpython", "ripgrep", "go_hello", "gofumpt"]
LIFTOFF = ["--liftoff", "--no-wasm-tier-up", "--no-wasm-lazy-compilation", "--wasm-num-compilation-tasks=0"]


def output(argv: list[str]) -> dict:
    done = subprocess.run(pinned(argv), capture_output=True, text=True, timeout=500, check=False)
    if done.returncode != 0:
        die(f"{' '.join(argv)}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def main() -> None:
    options = parse(__doc__, repetitions=9)
    names = options.only or MODULES
    fetch(*names, "wasmtime", "node")
    node, wasmtime = str(node_binary()), str(wasmtime_binary())
    ours = None if options.peers_only else build_dir(options, "bin/bench/load_time") / "bin/bench/load_time"
    node_script = str(ROOT / "tests/bench/node_compile.mjs")
    engines = (["wasmd", "wasmd_lazy"] if ours else []) + ["liftoff", "v8_lazy", "winch", "cranelift"]
    figures: dict[str, object] = {}
    rates: dict[str, list[float]] = {engine: [] for engine in engines}
    rows = []
    with tempfile.TemporaryDirectory(prefix="wasmd-bench-") as scratch:
        empty = pathlib.Path(scratch) / "empty.wasm"
        empty.write_bytes(EMPTY)
        compiled = str(pathlib.Path(scratch) / "out.cwasm")

        def wasmtime_ns(path: str, compiler: str) -> float:
            command = [wasmtime, "compile", "-C", f"compiler={compiler}", "-C", "parallel-compilation=n", "-C", "cache=n"]
            return cpu_ns([*command, path, "-o", compiled])

        base = {c: statistics.median(wasmtime_ns(str(empty), c) for _ in range(5)) for c in ("winch", "cranelift")}
        for name in names:
            path = cache_dir() / "programs" / f"{name}.wasm"
            code = code_section_bytes(path)
            samples: dict[str, list[float]] = {engine: [] for engine in engines}
            for round_number in range(options.repetitions):
                if ours:
                    line = output([str(ours), "1", str(path)])
                    samples["wasmd"] += line["eager_ns"]
                    samples["wasmd_lazy"] += line["lazy_ns"]
                samples["liftoff"] += output([node, "--expose-gc", *LIFTOFF, node_script, "1", str(path)])["ns"]
                samples["v8_lazy"] += output([node, "--expose-gc", node_script, "1", str(path)])["ns"]
                samples["winch"].append(wasmtime_ns(str(path), "winch") - base["winch"])
                if round_number % 3 == 0:
                    samples["cranelift"].append(wasmtime_ns(str(path), "cranelift") - base["cranelift"])
            row: list[object] = [name, code / 1e6]
            for engine in engines:
                rate = code / 1e6 / (statistics.median(samples[engine]) / 1e9)
                rates[engine].append(rate)
                figures[f"compile_{name}_{engine}_mb_per_s"] = rate
                row.append(rate)
            figures[f"compile_{name}_code_section_mb"] = code / 1e6
            rows.append(row)
    mean: list[object] = ["geometric mean", None]
    for engine in engines:
        figures[f"compile_geometric_mean_{engine}_mb_per_s"] = geometric_mean(rates[engine])
        mean.append(figures[f"compile_geometric_mean_{engine}_mb_per_s"])
    rows.append(mean)
    table(["MB of code section/s, one thread", "code MB", *engines], rows)
    finish(options, figures)


if __name__ == "__main__":
    main()
