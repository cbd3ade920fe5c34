#!/usr/bin/env bash
# Real programs, each with its workloads: time to first output and run time under wasmd (daemon just restarted), wasmtime (compiling
# each time, as it does by default) and natively where there is a native build; every output is compared byte for byte on the way.
#
#   scripts/bench.sh programs [--json FILE] [PATTERN…]
exec tests/e2e/programs/run.py --table --build-dir build/release "$@"
