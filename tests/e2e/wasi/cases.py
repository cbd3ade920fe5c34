"""Lines of cases, what wasmtime is known to do otherwise, and the table of functions that they make.

A line is "ok FUNCTION: CASE" or "FAIL FUNCTION: CASE: WHAT IS WRONG" (tests/guests/wasi/c/check.h).
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
from typing import Iterable, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[3]
RECORDED = ROOT / "tests/guests/wasi/recorded"
DIFFERENCES = ROOT / "tests/guests/wasi/differences.txt"
FUNCTIONS = ROOT / "engine/wasi/functions.def"
DOCUMENT = ROOT / "docs/wasi.md"
BEGIN = "<!-- Made from test results by `scripts/conformance.sh wasi --write`. -->"
END = "<!-- End of what is made from test results. -->"


@dataclasses.dataclass(frozen=True)
class Case:
    function: str
    name: str
    failure: str = ""  # Empty: it passed.

    @property
    def key(self) -> str:
        return f"{self.function}: {self.name}"

    def __str__(self) -> str:
        return f"FAIL {self.key}: {self.failure}" if self.failure else f"ok {self.key}"


def parse(lines: Iterable[str], names: Sequence[str] | None = None) -> list[Case]:
    """Cases in their order. A failure's text is told from the name by `names`, the keys that the cases have elsewhere; without,
    by the last ": " but one word. ValueError: a line that is none."""
    cases = []
    for line in lines:
        if line.startswith("ok "):
            function, _, name = line[3:].partition(": ")
            cases.append(Case(function, name))
        elif line.startswith("FAIL "):
            rest = line[5:]
            key = max((k for k in names or () if rest.startswith(k + ": ")), key=len, default=None)
            if key is not None:
                function, _, name = key.partition(": ")
                cases.append(Case(function, name, rest[len(key) + 2 :]))
            else:
                function, _, rest = rest.partition(": ")
                name, _, failure = rest.rpartition(": ")
                cases.append(Case(function, name, failure or "failed"))
        else:
            raise ValueError(f"not a case: {line!r}")
    return cases


def read_recorded(name: str) -> tuple[str, list[str]]:
    """wasmtime's version, and the lines. FileNotFoundError."""
    first, *lines = (RECORDED / f"{name}.txt").read_text().splitlines()
    return first.removeprefix("# "), lines


def write_recorded(name: str, version: str, lines: Sequence[str]) -> None:
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{name}.txt").write_text("\n".join([f"# {version}", *lines]) + "\n")


def read_differences() -> dict[str, str]:
    """Case → why wasmtime does it otherwise on purpose of ours. A line at the margin is a reason, indented ones beneath it its cases."""
    reasons: dict[str, str] = {}
    reason = ""
    for number, line in enumerate(DIFFERENCES.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            reason = line.strip()
        elif not reason:
            raise ValueError(f"{DIFFERENCES.name}:{number}: a case without a reason")
        elif line.strip() in reasons:
            raise ValueError(f"{DIFFERENCES.name}:{number}: {line.strip()} is there twice")
        else:
            reasons[line.strip()] = reason
    return reasons


def functions() -> list[str]:
    return re.findall(r"^WASI\((\w+),", FUNCTIONS.read_text(), re.MULTILINE)


@dataclasses.dataclass
class Known:
    """A case with what is known of it: our result, wasmtime's (None: its command line cannot run it), and why not."""

    ours: Case
    theirs: Case | None
    reason: str  # Of a difference, or of theirs being None.


def table(results: Sequence[Known], version: str, other: str) -> str:
    """`other` is said behind wasmtime's version. Two tables: of functions, and of programs that are no function's (whose "function" has a space in it)."""
    by_function: dict[str, list[Known]] = collections.defaultdict(list)
    for known in results:
        by_function[known.ours.function].append(known)
    names = functions()
    others = sorted(name for name in by_function if name not in names)
    lines = [
        BEGIN,
        "",
        f"Cases of `tests/guests/wasi`, each under wasmd (`wasmctl run`) and {version}{other}. Where several are not the same for one reason, "
        "their number follows it.",
        "",
    ]
    lines += ["| function | cases that pass | the same under wasmtime | where we differ on purpose, and why |", "|---|---|---|---|"]
    total = [0, 0, 0]

    def row(name: str, shown: str) -> str:
        cases = by_function.get(name, [])
        passed = sum(not known.ours.failure for known in cases)
        same = sum(known.theirs is not None and known.theirs.failure == known.ours.failure for known in cases)
        total[0] += len(cases)
        total[1] += passed
        total[2] += same
        reasons = collections.Counter(known.reason for known in cases if known.reason)
        why = "<br>".join(reason if count == 1 else f"{reason} ({count})" for reason, count in reasons.items())
        return f"| {shown} | {passed} of {len(cases)} | {same} | {why} |"

    lines += [row(name, f"`{name}`") for name in names]
    lines.append(f"| all {len(names)} | {total[1]} of {total[0]} | {total[2]} | |")
    if others:
        lines += ["", "Programs in terms of their languages' libraries:", ""]
        lines += ["| library | cases that pass | the same under wasmtime | where we differ on purpose, and why |", "|---|---|---|---|"]
        lines += [row(name, name) for name in others]
    return "\n".join([*lines, "", END])


def table_in_document() -> str | None:
    found = re.search(re.escape(BEGIN) + ".*" + re.escape(END), DOCUMENT.read_text(), re.DOTALL)
    return found.group() if found else None


def write_table(text: str) -> None:
    document = DOCUMENT.read_text()
    old = table_in_document()
    if old is None:
        raise ValueError(f"{DOCUMENT} lacks the lines that begin and end the table")
    DOCUMENT.write_text(document.replace(old, text))
