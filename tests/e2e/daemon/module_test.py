"""Bad modules and bad calls: each is refused with one line, and the daemon goes on."""

from __future__ import annotations

from harness import DONE, E2eTest, Ended, assemble, guest, main, wasmctl


def leb128(value: int) -> bytes:
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def custom_section(size: int) -> bytes:
    """A valid custom section of about `size` bytes."""
    body = leb128(3) + b"pad" + bytes(size)
    return b"\0" + leb128(len(body)) + body


class BadModule(E2eTest):
    def file(self, name: str, data: bytes):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def assert_refused_by_all(self, path, *words: str) -> None:
        for ended in (
            self.ctl("module load", path),
            self.ctl("run", path),
            self.ctl("call", path, "fib", 1),
            self.ctl("module inspect", path),
        ):
            self.assert_refused(ended, path.name, *words)

    def test_no_such_file(self) -> None:
        self.assert_refused(self.ctl("run", self.folder / "none.wasm"), "none.wasm", "No such file")

    def test_folder_instead_of_file(self) -> None:
        self.assert_refused(self.ctl("run", self.folder), str(self.folder))

    def test_not_wasm(self) -> None:
        self.assert_refused_by_all(self.file("script.wasm", b"#!/bin/sh\necho hello\n"), "magic")

    def test_empty_file(self) -> None:
        self.assert_refused_by_all(self.file("empty.wasm", b""))

    def test_elf(self) -> None:
        with open("/bin/true", "rb") as binary:
            self.assert_refused_by_all(self.file("true.wasm", binary.read()), "magic")

    def test_wrong_version(self) -> None:
        self.assert_refused_by_all(self.file("version.wasm", b"\0asm\x0d\0\1\0"), "version")

    def test_truncated(self) -> None:
        whole = guest("hello").read_bytes()
        # Every place is tried in the decoder's own tests; here a few, through everything.
        for size in (1, 7, 9, 60, len(whole) // 4, len(whole) // 2, len(whole) - 1):
            with self.subTest(size=size):
                path = self.file(f"truncated{size}.wasm", whole[:size])
                self.assert_refused(self.ctl("run", path), path.name)
        self.assert_refused_by_all(self.file("half.wasm", whole[: len(whole) // 2]))

    def test_invalid_body(self) -> None:
        # (func (export "fib") (result i32) i64.const 0)
        data = bytes.fromhex(
            "0061736d01000000" "0105016000017f" "03020100" "070701036669620000" "0a06010400" "42000b"
        )
        self.assert_refused_by_all(self.file("invalid.wasm", data), "type mismatch")

    def test_unknown_import(self) -> None:
        path = assemble(
            """(module (import "env" "mystery" (func (param i32)))
                 (func (export "_start")) (func (export "fib") (param i32)))""",
            self.folder / "unknown_import.wasm",
        )
        for ended in (self.ctl("run", path), self.ctl("call", path, "fib", 1)):
            self.assert_refused(ended, path.name, "env", "mystery")

    def test_unknown_wasi_function(self) -> None:
        path = assemble(
            """(module (import "wasi_snapshot_preview1" "fd_teleport" (func (param i32) (result i32)))
                 (func (export "_start")) (memory (export "memory") 1))""",
            self.folder / "unknown_wasi.wasm",
        )
        self.assert_refused(self.ctl("run", path), "wasi_snapshot_preview1", "fd_teleport")

    def test_import_of_another_type(self) -> None:
        path = assemble(
            """(module (import "wasi_snapshot_preview1" "fd_write" (func (param i64)))
                 (func (export "_start")) (memory (export "memory") 1))""",
            self.folder / "wrong_import.wasm",
        )
        self.assert_refused(self.ctl("run", path), "fd_write")

    def test_no_program(self) -> None:
        self.assert_refused(self.ctl("run", self.module), "module.wasm", "_start")


class BadCall(E2eTest):
    def call(self, *words: object) -> Ended:
        return self.ctl("call", self.module, *words)

    def test_missing_export(self) -> None:
        self.assert_refused(self.call("fob", 1), "fob", "fib")

    def test_export_that_is_no_function(self) -> None:
        self.assert_refused(self.call("memory"), "memory")

    def test_wrong_argument_count(self) -> None:
        self.assert_refused(self.call("fib"), "fib", "takes 1", "not 0")
        self.assert_refused(self.call("fib", 1, 2), "fib", "takes 1", "not 2")
        self.assert_refused(self.call("increment", 1), "increment", "takes 0", "not 1")

    def test_wrong_argument_types(self) -> None:
        for word in ("abc", "1.5", "", "4294967296", "-2147483649", "0x1ffffffff", "1 2"):
            with self.subTest(word=word):
                self.assert_refused(self.call("fib", word), "fib", "argument 1")
        self.assert_refused(self.call("mixed", 1, 2, "x", 4), "mixed", "argument 3")
        self.assert_refused(self.call("mixed", 1, "2e400", 3, 4), "mixed", "argument 2")

    def test_right_arguments(self) -> None:
        ended = self.call("mixed", -1, 10, 0.5, 1e3)
        self.assertEqual((ended.code, ended.stdout, ended.stderr), (DONE, b"1009.5\n", ""))

    def test_unknown_digest(self) -> None:
        self.assert_refused(self.ctl("call", "sha256:" + "0" * 64, "fib", 1), "no module")

    def test_bad_command_line(self) -> None:
        for words in (("--timeout", "soon"), ("--max-memory", "lots"), ("--dir", "::"), ("--nonsense",)):
            with self.subTest(words=words):
                self.assert_refused(self.ctl("run", *words, guest("hello")))
        self.assert_refused(self.ctl("run"), "program")
        self.assert_refused(
            self.ctl("run", "--dir", "/nonexistent::/", guest("hello")), "/nonexistent", "No such file"
        )


class ModuleLimit(E2eTest):
    options = ("--max-module-size", "64KiB")

    def test_module_over_the_limit(self) -> None:
        valid = self.module.read_bytes()
        path = self.folder / "large.wasm"
        for size in (64 * 1024, 1 << 20, 64 << 20):
            with self.subTest(size=size):
                path.write_bytes(valid + custom_section(size))
                self.assert_refused(self.ctl("module load", path), "large.wasm", "limit")
                self.assert_refused(self.ctl("call", path, "fib", 1), "large.wasm", "limit")
                self.assert_refused(self.ctl("run", "--no-pass-fds", path), "large.wasm", "limit")

    def test_module_at_the_limit(self) -> None:
        valid = self.module.read_bytes()
        padding = custom_section(60 * 1024)
        # Name and length of the section are what separates its size from its body's.
        padding = custom_section(60 * 1024 + 64 * 1024 - len(valid) - len(padding))
        self.assertEqual(len(valid) + len(padding), 64 * 1024)
        path = self.folder / "just.wasm"
        path.write_bytes(valid + padding)
        ended = self.ctl("call", path, "fib", 10)
        self.assertEqual((ended.code, ended.stdout, ended.stderr), (DONE, b"55\n", ""))


class Isolation(E2eTest):
    """Nothing of one invocation, session or daemon is seen by another."""

    def test_every_call_has_a_fresh_instance(self) -> None:
        for _ in range(3):
            ended = self.ctl("call", self.module, "increment")
            self.assertEqual((ended.code, ended.stdout), (DONE, b"101\n"), ended)

    def test_daemons_share_no_modules(self) -> None:
        other = self.start_daemon()
        digest = self.ctl("module load", self.module).stdout.split()[0].decode()
        self.assertIn(digest.encode(), self.ctl("module ls", "-q").stdout)
        listed = wasmctl(other, "module ls", "-q")
        self.assertEqual((listed.code, listed.stdout), (DONE, b""))
        self.assert_refused(wasmctl(other, "call", digest, "fib", 1), "no module")

    def test_programs_see_their_own_arguments_and_files_alone(self) -> None:
        first = self.folder / "first"
        second = self.folder / "second"
        for folder, text in ((first, "one"), (second, "two")):
            folder.mkdir(exist_ok=True)
            (folder / "file").write_text(text)
        program = guest("cat")
        waiting = [self.start_client("run", program) for _ in range(2)]
        self.wait_until_running(2)
        for index, client in enumerate(waiting):
            client.write(f"to {index}\n".encode())
        for index, client in enumerate(waiting):
            self.assertEqual(client.read_line(), f"to {index}\n".encode())
        for client in waiting:
            ended = client.end()
            self.assertEqual((ended.code, ended.stdout, ended.stderr), (DONE, b"", ""))
        for folder, text in ((first, "one"), (second, "two")):
            ended = self.ctl("run", "--dir", f"{folder}::/", guest("files"), "--", "read", "/file")
            self.assertEqual(ended.code, DONE, ended)
            self.assertIn(text.encode(), ended.stdout)
        # A folder that was not given is not there.
        ended = self.ctl("run", guest("files"), "--", "read", "/file")
        self.assertNotIn(b"one", ended.stdout)
        self.assertNotIn(b"two", ended.stdout)


if __name__ == "__main__":
    main()
