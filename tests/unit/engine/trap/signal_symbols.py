#!/usr/bin/env python3
"""Checks what code for signal context calls: the undefined symbols of *_inside.cc objects against an allow-list.

  signal_symbols.py OBJECT…      checks those whose name says inside.cc; at least one must
"""

import re
import subprocess
import sys

# Async-signal-safe by POSIX, or plain data, or asm of ours that is only pointed at.
ALLOWED = {
    "sigaction", "kill", "getpid", "gettid", "pthread_sigmask",
    "_ZSt21__glibcxx_assert_failPKciS0_S0_",  # Prints and aborts: an atomic with a bad memory order, in debug builds.
    "memset",  # A compiler's way to clear a struct.
    "wasmd_fault_exit",
    "_ZN5wasmd6engine12CallPreviousERNS0_15PreviousActionsEmiP9siginfo_tPv",
    "_ZN5wasmd6engine10g_code_mapE",
    "_ZN5wasmd6engine21g_store_context_slabsE",
    "_GLOBAL_OFFSET_TABLE_",
}
# Checks that sanitizers add: they report and abort, or read shadow memory. (Handlers are built without instrumentation
# where a run-time must not be entered; see WASMD_SIGNAL_CONTEXT.)
ALLOWED_PATTERN = re.compile(r"__(asan|ubsan|sanitizer)_\w+|__(start|stop)_asan_globals|_ZTH\w+|__tsan_(init|func_entry|func_exit|atomic32_load"
                             r"|atomic64_load|read\d|write\d|memset)")


def main() -> int:
    objects = [name for name in sys.argv[1:] if "_inside.cc" in name]
    if not objects:
        print("no object is for signal context: what was checked?")
        return 1
    bad = 0
    for name in objects:
        for line in subprocess.run(["nm", "-u", name], check=True, capture_output=True, text=True).stdout.splitlines():
            symbol = line.split()[-1]
            if symbol not in ALLOWED and not ALLOWED_PATTERN.fullmatch(symbol):
                print(f"{name}: {symbol} is not known to be async-signal-safe")
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
