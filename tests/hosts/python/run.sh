#!/usr/bin/env bash
# CPython through ctypes.
#
#   tests/hosts/python/run.sh LIBWASMD_SO
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
command -v python3 >/dev/null || skip "python3 is not there"
timeout 300 python3 "$here/host.py" "$library" "$work/guest.wasm"
