"""What is run: each program of tests/guests/wasi with its arguments, directories and streams."""

from __future__ import annotations

import dataclasses

HALVES = b"first line\nsecond"


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a program, recorded as `name`."""

    name: str
    args: tuple[str, ...] = ()
    program: str = ""  # Default: the name up to its first dot.
    env: tuple[tuple[str, str], ...] = ()
    # Guest paths of directories, each a folder of its own on the host: descriptors 3, 4, …
    dirs: tuple[str, ...] = ("/",)
    # The first of them is read-only, and has something in it.
    read_only: bool = False
    # Standard input: "null", "silent" (a pipe that nobody writes), "end" (a pipe at its end), "open" (a pipe with
    # `input` in it, which stays open), "pipe" (one that ends behind `input`), "file".
    stdin: str = "null"
    input: bytes = b""
    # A listening socket, behind the directories; the driver is its client.
    socket: bool = False
    # Why wasmtime's command line cannot run it; what it would print is then not known.
    not_in_wasmtime: str = ""
    # Which wasmtime can run it, where the current one no longer does. It is recorded by hand: --record --wasmtime FILE.
    wasmtime: str = ""
    # Also with streams that travel through the connection to the daemon, and the directory as one of its roots.
    streamed: bool = False
    # A table of cases, each of which is a run of its own (outcomes.c).
    one_by_one: bool = False
    # What it is written in.
    language: str = "C"

    @property
    def module(self) -> str:
        return (self.program or self.name.split(".")[0]) + ".wasm"


RUNS = [
    Run(
        "process",
        args=("", "one", "two 2  ", "gr\u00f6", "--x=", "\n\"'"),
        env=(("A", "1"), ("EMPTY", ""), ("B", "b=c d  "), ("UTF", "\u03a9\u00e9")),
        streamed=True,
    ),
    Run("descriptors", dirs=("/", "/other/place")),
    Run("transfer", streamed=True),
    Run("listing"),
    Run("opening"),
    Run("naming"),
    Run("linking"),
    Run(
        "read_only",
        dirs=("/", "/other"),
        read_only=True,
        not_in_wasmtime="not compared: wasmtime's command line gives no read-only directories",
    ),
    Run("polling.silent", args=("silent",), stdin="silent", streamed=True),
    Run("polling.ready", args=("ready",), stdin="open", input=b"ready\n", streamed=True),
    Run("polling.end", args=("end",), stdin="end", streamed=True),
    Run("streams.pipe", args=("pipe",), stdin="pipe", input=HALVES, streamed=True),
    Run("streams.file", args=("file",), stdin="file", input=HALVES),
    Run("streams.null", args=("null",)),
    # The last whose command line takes sockets for preview 1.
    Run("sockets", socket=True, wasmtime="46.0.1"),
    Run("outcomes", env=(("NAME", "value"),), one_by_one=True),
    Run("c_library", args=("a", "", "b c"), env=(("NAME", "value = x"),), stdin="pipe", input=HALVES, streamed=True),
    Run("cxx_library", language="C++"),
    Run("rust_std", args=("a", "", "b c"), env=(("NAME", "value = x"),), stdin="pipe", input=HALVES, language="Rust", streamed=True),
    Run("go_os", args=("a", "", "b c"), env=(("NAME", "value = x"), ("PWD", "/")), stdin="pipe", input=HALVES, language="Go", streamed=True),
]
