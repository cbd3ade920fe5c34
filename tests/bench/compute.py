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

from _bench import (
    build_dir, cache_dir, fetch, finish, node_binary, parse, run_time_ratios, wasmtime_binary,
)  # fmt: skip
from engines import Daemon, InProcess, Node, Wasmd, Wasmtime

REAL = ["sqlite", "lua", "zstd", "bzip2", "zlib", "brotli", "sodium", "quickjs", "mark"]
KERNELS = ["gemm", "lu", "jacobi", "floyd", "nussinov"]


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
        groups = {"real": REAL, "kernels": KERNELS, "all": REAL + KERNELS}
        figures = run_time_ratios(options, "compute", names, groups, engines)
    finish(options, figures)


if __name__ == "__main__":
    main()
