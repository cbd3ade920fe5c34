#!/usr/bin/env python3
"""How fast vector code is: run time of programs built with -msimd128 over that of their native builds,
which have vectors of 128 bits too.

  scripts/bench.sh simd [--json FILE] [--repetitions N] [--only NAME]…

gemm, jacobi, fdtd and libsodium are C by clang-19 -O3 -msimd128, vectorised by the compiler; BLAKE3 is
Rust that is written in vectors. All agree on their checksums. Engines take turns, round by round; a
figure is the median of its rounds.
  wasmd      wasmctl run, against a daemon
  Liftoff    node --liftoff-only
  TurboFan   node --no-liftoff
  wasmtime   Cranelift
"""

from __future__ import annotations

import contextlib

from _bench import (
    build_dir, cache_dir, fetch, finish, node_binary, parse, run_time_ratios, wasmtime_binary,
)  # fmt: skip
from engines import Daemon, InProcess, Node, Wasmd, Wasmtime

PROGRAMS = ["gemm", "jacobi", "fdtd", "blake3", "sodium"]


def main() -> None:
    options = parse(__doc__, repetitions=7, in_process=True)
    names = options.only or PROGRAMS
    fetch("simd", "wasmtime", "node")
    with contextlib.ExitStack() as stack:
        engines = []
        if options.in_process:
            engines.append(InProcess(build_dir(options, "bin/wasi_run") / "bin/wasi_run"))
        elif not options.peers_only:
            folder = build_dir(options, "bin/wasmd", "bin/wasmctl")
            daemon = stack.enter_context(Daemon(folder))
            engines.append(Wasmd(folder / "bin/wasmctl", daemon.address))
        engines.append(Node(node_binary(), "liftoff", ["--liftoff-only"]))
        engines.append(Node(node_binary(), "turbofan", ["--no-liftoff", "--no-wasm-lazy-compilation"]))
        # Compiled ahead: compilation is not what is measured.
        engines.append(Wasmtime(wasmtime_binary(), cache_dir() / "peers/cwasm"))
        figures = run_time_ratios(options, "simd", names, {"all": PROGRAMS}, engines)
    finish(options, figures)


if __name__ == "__main__":
    main()
