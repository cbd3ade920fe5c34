"""Reads strace's output of daemons (a folder of files) for scripts/syscalls.sh: what they asked for once clients
could come, against daemon/sandbox/syscalls.def. Exits 1 where something was refused."""

from __future__ import annotations

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
ROW = re.compile(r"^(ALLOW|LIMIT|KILL|REFUSE)\((\w+), ")
# "1234  close(5) = 0", "1234  <... close resumed>) = 0", "1234  close(5 <unfinished ...>"
CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(?P<name>[a-z0-9_]+)(?:\(| resumed>)(?P<rest>.*)$")
# Forked before, and not confined: not counted (daemon/session/scratch_maker.h).
MAKER = re.compile(r'^(\d+) +prctl\(PR_SET_NAME, "wasmd-scratch"')
# The sandbox is complete, or off.
BEGIN = "wasmd listening on"


def table() -> dict[str, set[str]]:
    rows: dict[str, set[str]] = collections.defaultdict(set)
    for line in (ROOT / "daemon/sandbox/syscalls.def").read_text().splitlines():
        if match := ROW.match(line):
            rows[match[1]].add(match[2])
    return rows


def main() -> int:
    rows = table()
    allowed = rows["ALLOW"] | rows["LIMIT"]
    made: collections.Counter[str] = collections.Counter()
    refused: dict[str, str] = {}
    daemons = 0
    for path in pathlib.Path(sys.argv[1]).iterdir():
        begun = False
        makers: set[str] = set()
        for line in path.read_text(errors="replace").splitlines():
            if match := MAKER.match(line):
                makers.add(match[1])
            if line.split(" ", 1)[0] in makers:
                continue
            if not begun:
                begun = BEGIN in line
                daemons += begun
                continue
            call = CALL.match(line)
            if call is None:
                continue
            name = call["name"]
            if " resumed>" not in line:
                made[name] += 1
            # clone3 is meant to be absent: glibc takes clone.
            if name not in allowed and name != "clone3":
                refused.setdefault(name, line)
            elif name in rows["LIMIT"] and "= -1 EPERM" in line:
                refused.setdefault(f"{name} with these arguments", line)
    print(f"{daemons} daemons; made:")
    for name, count in sorted(made.items()):
        print(f"  {name} {count}")
    print("allowed and not made: " + " ".join(sorted(allowed - set(made))))
    for name, line in sorted(refused.items()):
        print(f"REFUSED {name}: {line}")
    if daemons == 0:
        print("no daemon was traced")
    return 1 if refused or daemons == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
