#!/usr/bin/env python3
"""Checks every #include of ours against .ci/layers.toml.

Prints one line for each include that the table does not allow, and for each folder with C++ sources that the table
does not name; exits 1 where there was one. `--root` checks another tree (the tests do).
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = {".h", ".cc", ".def", ".inc"}
TOP_FOLDERS = ("proto", "engine", "daemon", "client", "cmake", "tests")
SKIPPED = {"node_modules", ".venv", "build"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# C and POSIX headers that are language, not operating system.
C_LANGUAGE = {
    "assert.h", "ctype.h", "errno.h", "float.h", "inttypes.h", "limits.h", "math.h", "stdalign.h", "stdarg.h",
    "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "time.h",
    "cpuid.h", "immintrin.h", "emmintrin.h", "x86intrin.h", "cxxabi.h",
}
OS_FOLDERS = {"sys", "linux", "asm", "arpa", "net", "netinet", "bits"}


@dataclass(frozen=True)
class Rule:
    may: tuple[str, ...] = ()
    third: tuple[str, ...] = ()
    system: bool = False
    tests: bool = False


@dataclass
class Checker:
    root: Path
    rules: dict[str, Rule]
    problems: list[str] = field(default_factory=list)

    def rule_of(self, folder: str) -> tuple[str, Rule] | None:
        """The rule of the folder itself; below one with `tests`, that one's."""
        if folder in self.rules:
            return folder, self.rules[folder]
        for name, rule in self.rules.items():
            if rule.tests and folder.startswith(name + "/"):
                return name, rule
        return None

    def check_file(self, path: Path) -> None:
        relative = path.relative_to(self.root)
        folder = relative.parent.as_posix()
        found = self.rule_of(folder)
        if found is None:
            message = f"{relative}: folder {folder} has no row in .ci/layers.toml"
            self.problems.append(message)
            return
        _, rule = found
        if rule.tests:
            return
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                reason = self.refuse(folder, rule, relative, match[1], match[2])
                if reason:
                    self.problems.append(f"{relative}:{number}: {match[2]}: {reason}")

    def refuse(self, folder: str, rule: Rule, file: Path, bracket: str, header: str) -> str | None:
        """Why `header` may not be included, or None where it may."""
        first = header.split("/", 1)[0]
        if bracket == '"' and first in TOP_FOLDERS:
            target = Path(header).parent.as_posix()
            if not (self.root / header).exists() and not header.endswith((".pb.h", ".grpc.pb.h")):
                return "no such file in the tree"
            if target == folder or any(allows(entry, target) for entry in rule.may):
                return None
            return f"{folder} may not include {target}"
        if "/" not in header and bracket == '"':
            return "not a full path from the repository's root"
        if "/" not in header and not header.endswith(".h"):
            return None  # The C++ standard library.
        if header in C_LANGUAGE:
            return None
        if "/" not in header or first in OS_FOLDERS:
            if rule.system or file.stem.endswith("_inside"):
                return None
            return f"{folder} makes no OS calls"
        return None if first in rule.third else f"{folder} may not include {first}"


def allows(entry: str, target: str) -> bool:
    return target.startswith(entry[:-1]) if entry.endswith("/*") else target == entry


def load_rules(path: Path) -> dict[str, Rule]:
    table = tomllib.loads(path.read_text(encoding="utf-8"))["folder"]
    rules = {}
    for name, row in table.items():
        unknown = set(row) - {"may", "third", "system", "tests"}
        if unknown:
            sys.exit(f"{path}: {name}: unknown keys {sorted(unknown)}")
        rules[name] = Rule(
            may=tuple(row.get("may", ())),
            third=tuple(row.get("third", ())),
            system=row.get("system", False),
            tests=row.get("tests", False),
        )
    for name, rule in rules.items():
        for entry in rule.may:
            if not entry.endswith("/*") and entry not in rules and not entry.startswith("proto/wasmd"):
                sys.exit(f"{path}: {name} may include {entry}, which has no row")
    return rules


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root: Path = parser.parse_args().root.resolve()

    checker = Checker(root, load_rules(root / ".ci" / "layers.toml"))
    count = 0
    for top in TOP_FOLDERS:
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SOURCES and path.is_file() and not SKIPPED.intersection(path.relative_to(root).parts):
                checker.check_file(path)
                count += 1
    for problem in checker.problems:
        print(problem)
    print(f"{count} files checked, {len(checker.problems)} problems")
    return 1 if checker.problems or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
