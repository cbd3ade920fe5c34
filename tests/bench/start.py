#!/usr/bin/env python3
"""How long from the command to the program's first byte, when nothing has seen the module before.

  scripts/bench.sh start [--json FILE] [--repetitions N]

Programs are hello in C (5 KB) and in Go (2.6 MB). Each run gets a module of its own (another custom
section at its end), so that no cache helps; wasmd is stopped and started again before each run, outside the
measured time. Engines take turns; a figure is the median of the rounds.
"""

from __future__ import annotations

import contextlib
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

from _bench import (
    ROOT, build_dir, cache_dir, die, fetch, finish, node_binary, parse, table, wasmtime_binary, with_nonce,
)  # fmt: skip
from engines import Daemon, Node, Wasmd, Wasmtime, run_process


def daemon_start_ms(folder: pathlib.Path, scratch: pathlib.Path) -> float:
    """A daemon of its own, ended at once."""
    path = scratch / "start.sock"
    begin = time.perf_counter()
    process = subprocess.Popen(
        [folder / "bin/wasmd", "--listen", f"unix:{path}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while time.perf_counter() - begin < 30:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(path))
                except OSError:
                    time.sleep(0.0002)
                    continue
            return (time.perf_counter() - begin) * 1000
        die("wasmd does not listen")
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    options = parse(__doc__, repetitions=20)
    fetch("go_hello", "native", "wasmtime", "node")
    figures: dict[str, object] = {}
    rows = []
    nonce = time.time_ns()
    with contextlib.ExitStack() as stack:
        scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wasmd-bench-")))
        subprocess.run([ROOT / "tests/guests/build.sh", scratch, "hello"], check=True, timeout=120)
        subprocess.run(["clang-19", "-O2", ROOT / "tests/guests/hello.c", "-o", scratch / "hello.native"], check=True, timeout=60)
        programs = [
            ("hello_c", scratch / "hello.wasm", scratch / "hello.native", b"hello, world\n"),
            ("hello_go", cache_dir() / "programs/go_hello.wasm", cache_dir() / "programs/go_hello.native", b"hello from Go\n"),
        ]
        daemon = None
        engines = []
        if not options.peers_only:
            folder = build_dir(options, "bin/wasmd", "bin/wasmctl")
            daemon = stack.enter_context(Daemon(folder))
            engines.append(Wasmd(folder / "bin/wasmctl", daemon.address))
            starts = [daemon_start_ms(folder, scratch) for _ in range(options.repetitions)]
            figures["wasmd_start_ms"] = statistics.median(starts)
            figures["wasmd_start_worst_ms"] = max(starts)
            print(f"wasmd starts in {figures['wasmd_start_ms']:.1f} ms (median), at most {max(starts):.1f} ms")
        engines.append(Node(node_binary()))
        engines.append(Wasmtime(wasmtime_binary()))
        engines.append(Wasmtime(wasmtime_binary(), compiler="winch"))

        def first_output_ms(command: list[str], expected: bytes) -> tuple[float, float]:
            outcome = run_process(command, timeout_s=120)
            if outcome.code != 0 or outcome.stdout != expected or outcome.first_output_s is None:
                die(f"{' '.join(command)}: exit code {outcome.code}: {outcome.stderr[-500:].decode(errors='replace')}")
            return outcome.first_output_s * 1000, outcome.wall_s * 1000

        for name, module, native, expected in programs:
            samples: dict[str, list[tuple[float, float]]] = {"native": []}
            for _ in range(options.repetitions):
                samples["native"].append(first_output_ms([str(native)], expected))
                for engine in engines:
                    nonce += 1
                    fresh = scratch / f"{name}.wasm"
                    with_nonce(module, fresh, nonce)
                    if daemon is not None and isinstance(engine, Wasmd):
                        daemon.restart()
                    command = engine.command(fresh, [], [], {})
                    samples.setdefault(engine.name, []).append(first_output_ms(command, expected))
            row: list[object] = [name]
            for engine_name, values in samples.items():
                first = statistics.median(value for value, _ in values)
                figures[f"start_{name}_{engine_name}_first_output_ms"] = first
                figures[f"start_{name}_{engine_name}_first_output_worst_ms"] = max(value for value, _ in values)
                figures[f"start_{name}_{engine_name}_run_ms"] = statistics.median(value for _, value in values)
                row.append(first)
            rows.append(row)
        header = ["first output, ms, median", *samples]
    table(header, rows)
    finish(options, figures)


if __name__ == "__main__":
    main()
