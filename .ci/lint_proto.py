#!/usr/bin/env python3
"""Checks the .proto files under proto/ by the rules of buf's STANDARD set, and for comments.

Prints "<file>:<line>: <RULE>: <what>" for each problem; exits 1 where there was one. Rules carry buf's names.
`--root` checks another tree.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|[A-Za-z_][\w.]*|\.[A-Za-z_][\w.]*|-?\d\w*|[{}()<>\[\];=,:-]', re.DOTALL)
PASCAL = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
LOWER_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*\Z")


@dataclass
class Token:
    text: str
    line: int
    commented: bool  # A comment stands directly before it.


@dataclass
class Linter:
    path: Path
    relative: str
    tokens: list[Token] = field(default_factory=list)
    position: int = 0
    problems: list[str] = field(default_factory=list)
    imports: list[tuple[str, int]] = field(default_factory=list)
    types_used: set[str] = field(default_factory=set)
    rpc_messages: dict[str, str] = field(default_factory=dict)

    # ---- tokens

    def tokenize(self) -> None:
        text = self.path.read_text(encoding="utf-8")
        comment_end = None
        for match in TOKEN.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            token = match[0]
            if token.startswith(("//", "/*")):
                if not text[text.rfind("\n", 0, match.start()) + 1:match.start()].strip():
                    comment_end = line + token.count("\n")
                continue
            self.tokens.append(Token(token, line, comment_end is not None and line - comment_end <= 1))
            comment_end = None

    def peek(self) -> str:
        return self.tokens[self.position].text if self.position < len(self.tokens) else ""

    def next(self) -> Token:
        if self.position >= len(self.tokens):
            raise SyntaxError(f"{self.relative}: ends too early")
        self.position += 1
        return self.tokens[self.position - 1]

    def expect(self, text: str) -> None:
        token = self.next()
        if token.text != text:
            raise SyntaxError(f"{self.relative}:{token.line}: expected {text!r}, found {token.text!r}")

    def skip_statement(self) -> None:
        depth = 0
        while True:
            text = self.next().text
            depth += text in "{[(" and text != ""
            depth -= text in "}])"
            if text == ";" and depth == 0 or text == "}" and depth == 0:
                return

    def problem(self, line: int, rule: str, what: str) -> None:
        self.problems.append(f"{self.relative}:{line}: {rule}: {what}")

    def named(self, token: Token, rule: str, pattern: re.Pattern[str], what: str) -> None:
        if not pattern.match(token.text):
            self.problem(token.line, rule, f"{what} {token.text}")

    # ---- grammar

    def file(self) -> None:
        self.tokenize()
        if not LOWER_SNAKE.match(self.path.stem):
            self.problem(1, "FILE_LOWER_SNAKE_CASE", self.path.name)
        package = syntax = None
        while self.position < len(self.tokens):
            token = self.next()
            match token.text:
                case "syntax":
                    syntax = self.tokens[self.position + 1].text
                    self.skip_statement()
                case "package":
                    package = self.next()
                    self.expect(";")
                case "import":
                    name = self.next()
                    if name.text in ("public", "weak"):
                        self.problem(name.line, f"IMPORT_NO_{name.text.upper()}", "not allowed")
                        name = self.next()
                    self.imports.append((name.text.strip('"'), name.line))
                    self.expect(";")
                case "message":
                    self.message(token)
                case "enum":
                    self.enum(token)
                case "service":
                    self.service(token)
                case ";":
                    pass
                case _:
                    self.skip_statement()
        if syntax != '"proto3"':
            self.problem(1, "SYNTAX_SPECIFIED", 'syntax = "proto3" is missing')
        if package is None:
            self.problem(1, "PACKAGE_DEFINED", "no package")
            return
        if not re.search(r"\.v\d+((alpha|beta)\d*)?\Z", package.text):
            self.problem(package.line, "PACKAGE_VERSION_SUFFIX", package.text)
        if Path(self.relative).parent.as_posix() != "proto/" + package.text.replace(".", "/"):
            self.problem(package.line, "PACKAGE_DIRECTORY_MATCH", package.text)

    def commented(self, token: Token, rule: str, what: str) -> None:
        if not token.commented:
            self.problem(token.line, rule, f"{what} has no comment above it")

    def message(self, keyword: Token) -> None:
        name = self.next()
        self.named(name, "MESSAGE_PASCAL_CASE", PASCAL, "message")
        if not name.text.endswith(("Request", "Response")):  # Their rpc says what they are.
            self.commented(keyword, "COMMENT_MESSAGE", f"message {name.text}")
        self.expect("{")
        self.fields()

    def fields(self) -> None:
        """The body of a message or a oneof, up to and with its brace."""
        while True:
            token = self.next()
            match token.text:
                case "}":
                    return
                case ";":
                    pass
                case "message":
                    self.message(token)
                case "enum":
                    self.enum(token)
                case "oneof":
                    self.named(self.next(), "ONEOF_LOWER_SNAKE_CASE", LOWER_SNAKE, "oneof")
                    self.expect("{")
                    self.fields()
                case "option" | "reserved" | "extensions" | "extend":
                    self.skip_statement()
                case _:
                    self.one_field(token)

    def one_field(self, token: Token) -> None:
        if token.text == "required":
            self.problem(token.line, "FIELD_NOT_REQUIRED", "required field")
        if token.text in ("optional", "repeated", "required"):
            token = self.next()
        self.types_used.add(token.text)
        if token.text == "map":
            self.expect("<")
            self.next()
            self.expect(",")
            self.types_used.add(self.next().text)
            self.expect(">")
        self.named(self.next(), "FIELD_LOWER_SNAKE_CASE", LOWER_SNAKE, "field")
        self.expect("=")
        self.skip_statement()

    def enum(self, keyword: Token) -> None:
        name = self.next()
        self.named(name, "ENUM_PASCAL_CASE", PASCAL, "enum")
        self.commented(keyword, "COMMENT_ENUM", f"enum {name.text}")
        prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.text).upper() + "_"
        self.expect("{")
        first = True
        while True:
            token = self.next()
            if token.text == "}":
                return
            if token.text == "option":
                if self.peek() == "allow_alias":
                    self.problem(token.line, "ENUM_NO_ALLOW_ALIAS", name.text)
                self.skip_statement()
                continue
            if token.text in ("reserved", ";"):
                if token.text == "reserved":
                    self.skip_statement()
                continue
            self.named(token, "ENUM_VALUE_UPPER_SNAKE_CASE", UPPER_SNAKE, "enum value")
            if not token.text.startswith(prefix):
                self.problem(token.line, "ENUM_VALUE_PREFIX", f"{token.text} does not start with {prefix}")
            self.expect("=")
            number = self.next().text
            if first and number != "0":
                self.problem(token.line, "ENUM_FIRST_VALUE_ZERO", token.text)
            if number == "0" and token.text != prefix + "UNSPECIFIED":
                self.problem(token.line, "ENUM_ZERO_VALUE_SUFFIX", f"{token.text} is not {prefix}UNSPECIFIED")
            first = False
            self.skip_statement()

    def service(self, keyword: Token) -> None:
        name = self.next()
        self.named(name, "SERVICE_PASCAL_CASE", PASCAL, "service")
        self.commented(keyword, "COMMENT_SERVICE", f"service {name.text}")
        if not name.text.endswith("Service"):
            self.problem(name.line, "SERVICE_SUFFIX", f"{name.text} does not end with Service")
        self.expect("{")
        while True:
            token = self.next()
            if token.text == "}":
                return
            if token.text == "rpc":
                self.rpc(token, name.text)
            elif token.text != ";":
                self.skip_statement()

    def rpc(self, keyword: Token, service: str) -> None:
        name = self.next()
        self.named(name, "RPC_PASCAL_CASE", PASCAL, "rpc")
        self.commented(keyword, "COMMENT_RPC", f"rpc {name.text}")
        for suffix in ("Request", "Response"):
            if suffix == "Response":
                self.expect("returns")
            self.expect("(")
            message = self.next()
            if message.text == "stream":
                message = self.next()
            self.expect(")")
            self.types_used.add(message.text)
            if message.text not in (name.text + suffix, service + name.text + suffix):
                self.problem(message.line, f"RPC_{suffix.upper()}_STANDARD_NAME", f"{message.text} is not {name.text}{suffix}")
            user = f"{service}.{name.text}"
            if message.text in self.rpc_messages:
                self.problem(message.line, "RPC_REQUEST_RESPONSE_UNIQUE",
                             f"{message.text} serves {self.rpc_messages[message.text]} as well")
            self.rpc_messages[message.text] = user
        self.skip_statement() if self.peek() == "{" else self.expect(";")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    root: Path = parser.parse_args().root.resolve()

    problems: list[str] = []
    files = sorted((root / "proto").rglob("*.proto"))
    for path in files:
        linter = Linter(path, path.relative_to(root).as_posix())
        try:
            linter.file()
        except SyntaxError as error:
            problems.append(f"SYNTAX: {error}")
        problems += linter.problems
    for problem in problems:
        print(problem)
    print(f"{len(files)} .proto files checked, {len(problems)} problems")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main())
