#!/usr/bin/env python3
"""What calls, traps and instances cost inside one process: ours, wasmtime's crate and Node.

  scripts/bench.sh call [--json FILE] [--repetitions N] [--only calls|instances]…

Engines take turns, round by round; in each round a program takes 10 samples of a figure. The minimum is that of
all rounds (X_ns), the median the median of the rounds' medians (X_median_ns).
  wasmd      bin/bench/call_probe, capi_probe and instantiate_probe, which say what they measure
  wasmtime   its Rust crate, fat LTO, pooling allocator with resident pages kept
             (tests/bench/call/wasmtime_peer)
             and, for wasm.h, its shared library of PyPI, called by the same capi_probe as ours
  Node       from JavaScript, after warm-up

  instantiate       a module of 1,000 functions and 64 KiB of active data, no imports, in a store that
                    exists: 200 instances in a row; making and dropping the store, and the instances
                    with it, is not measured. wasmtime uses instantiate_pre
  store_call_drop   a new store, an instance of that, its export `first`, which loads from the data,
                    looked up and called, everything dropped
  two threads       store_call_drop by two threads at once, the slower thread's figure
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from _bench import ROOT, build_dir, cache_dir, die, fetch, finish, node_binary, parse, table

sys.path.insert(0, str(ROOT / "tests/bench/call"))

from modules import call_module, instantiate_module  # noqa: E402

SAMPLES = 10

# (title, ours, wasmtime's, Node's, goal, what the goal is a multiple of)
ROWS = [
    ("native indirect call: nop", "native_indirect_nop", None, None, None, None),
    ("native indirect call: add", "native_indirect_add", None, None, None, None),
    ("host → wasm, typed: nop", "typed_nop", "wasmtime_typed_nop", "node_typed_nop", 2.0, "native_indirect_nop"),
    ("host → wasm, typed: add", "typed_add", "wasmtime_typed_add", "node_typed_add", 2.0, "native_indirect_add"),
    ("host → wasm, untyped: add", "untyped_add", "wasmtime_untyped_add", None, 5.0, "native_indirect_add"),
    ("host → wasm, by wasm.h: add", "capi_add", "wasmtime_capi_add", None, None, None),
    ("wasm → host: nop", "wasm_to_host_nop", "wasmtime_to_host_nop", None, 1.5, "native_indirect_nop"),
    ("wasm → host, with values: nop", "wasm_to_host_untyped_nop", None, None, None, None),
    ("wasm → wasm: nop", "wasm_to_wasm_direct_nop", None, None, None, None),
    ("wasm → wasm, another instance's: nop", "wasm_to_wasm_import_nop", None, None, 2.0, "wasm_to_wasm_direct_nop"),
    ("trap by a branch", "trap_branch", "wasmtime_trap_branch", "node_trap", 30.0, "ns"),
    ("signal, bare", "bare_signal", None, None, None, None),
    ("trap by a fault", "trap_fault", None, None, 1.3, "bare_signal"),
    ("instantiate", "instantiate", "wasmtime_instantiate", None, 0.8, "wasmtime_instantiate"),
    ("store, instance, first call, drop", "store_call_drop", "wasmtime_store_call_drop", None, 0.8, "wasmtime_store_call_drop"),
    ("the same, two threads", "store_call_drop_two_threads", None, None, None, None),
]


def run(command: list[object]) -> dict[str, float]:
    outcome = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, check=False)
    if outcome.returncode != 0:
        die(f"{command[0]}: exit code {outcome.returncode}: {outcome.stderr[-500:]}")
    return json.loads(outcome.stdout)


def wasmtime_library() -> pathlib.Path:
    found = sorted((cache_dir() / "peers/venv").glob("lib/python3*/site-packages/wasmtime/linux-*/_libwasmtime.so"))
    if not found:
        die("wasmtime's library is missing")
    return found[-1]


def merge(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {
        key: (statistics.median if key.endswith("_median_ns") else min)([figures[key] for figures in rounds]) for key in rounds[0]
    }


def main() -> None:
    options = parse(__doc__, repetitions=3)
    parts = options.only or ["calls", "instances"]
    if unknown := set(parts) - {"calls", "instances"}:
        die(f"no part {', '.join(sorted(unknown))}; there are calls and instances")
    fetch("wasmtime_peer", "wasmtime_library", "node")
    with tempfile.TemporaryDirectory() as scratch:
        call = pathlib.Path(scratch, "call.wasm")
        call.write_bytes(call_module())
        instantiate = pathlib.Path(scratch, "instantiate.wasm")
        instantiate.write_bytes(instantiate_module())
        peer = cache_dir() / "peers/wasmtime_peer/wasmtime_peer"
        commands: list[list[object]] = [[peer, call, instantiate, SAMPLES]]
        two_threads: list[object] = []
        if "calls" in parts:
            commands.append([node_binary(), ROOT / "tests/bench/node_call.mjs", call, SAMPLES])
        if not options.peers_only:
            if "calls" in parts:
                build = build_dir(options, "bin/bench/call_probe", "bin/bench/capi_probe", "lib/libwasmd.so")
                commands.append([build / "bin/bench/call_probe"])
                commands.append([build / "bin/bench/capi_probe", build / "lib/libwasmd.so", "", SAMPLES])
                commands.append([build / "bin/bench/capi_probe", wasmtime_library(), "wasmtime_", SAMPLES])
            if "instances" in parts:
                probe = build_dir(options, "bin/bench/instantiate_probe") / "bin/bench/instantiate_probe"
                commands.append([probe, instantiate, SAMPLES])
                two_threads = [*commands[-1], 2]
        rounds: list[list[dict[str, float]]] = [[] for _ in commands]
        of_two: list[dict[str, float]] = []
        for _ in range(max(options.repetitions, 2)):
            for results, command in zip(rounds, commands):
                results.append(run(command))
            if two_threads:
                of_two.append(run(two_threads))
    figures: dict[str, object] = {}
    for results in rounds:
        figures.update(merge(results))
    if of_two:
        figures.update({key.replace("drop", "drop_two_threads"): value for key, value in merge(of_two).items()})

    native = figures.get("native_indirect_nop_ns")
    rows: list[list[object]] = []
    for title, ours, wasmtime, node, goal, base in ROWS:
        mine = figures.get(f"{ours}_ns")
        theirs = figures.get(f"{wasmtime}_ns")
        if mine is None and theirs is None:
            continue
        limit = None
        if goal is not None:
            limit = goal if base == "ns" else goal * figures[f"{base}_ns"] if f"{base}_ns" in figures else None
        holds = None if mine is None or limit is None else "yes" if mine <= limit else "NO"
        rows.append([
            title, mine, figures.get(f"{ours}_median_ns"), theirs, figures.get(f"{node}_ns"),
            mine / native if mine is not None and native else None,
            mine / theirs if mine is not None and theirs else None, limit, holds,
        ])  # fmt: skip
    table(["ns", "wasmd", "median", "wasmtime", "Node", "× native", "× wasmtime", "goal", "holds"], rows)
    finish(options, figures)


if __name__ == "__main__":
    main()
