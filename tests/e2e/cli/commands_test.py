"""wasmctl call, module, health, info, top, completion: what they print, as tables and as JSON."""

from __future__ import annotations

import json
import os
import subprocess

from common import (
    DONE,
    FAILURE,
    TRAP,
    E2eTest,
    assemble,
    ctl_command,
    guest,
    main,
    run_process,
    wasmctl_command,
)

VALUES = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1 2)
  (global (export "g") (mut i64) (i64.const 7))
  (func (export "i32") (param i32) (result i32) local.get 0)
  (func (export "i64") (param i64) (result i64) local.get 0)
  (func (export "f32") (param f32) (result f32) local.get 0)
  (func (export "f64") (param f64) (result f64) local.get 0)
  (func (export "ref") (param externref) (result externref) local.get 0)
  (func (export "swap") (param i32 f64) (result f64 i32) local.get 1 local.get 0)
  (func (export "nothing"))
  (func (export "exit") (param i32) (call $exit (local.get 0)))
  (func $inner (result i32) (i32.div_s (i32.const 1) (i32.const 0)))
  (func (export "trap") (result i32) (call $inner)))"""


class Call(E2eTest):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.values = assemble(VALUES, cls.folder / "values.wasm")

    def call(self, *words: object):
        return self.ctl("call", self.values, *words)

    def check(self, expected: str, *words: object) -> None:
        ended = self.call(*words)
        self.assertEqual((ended.code, ended.stdout.decode(), ended.stderr), (DONE, expected, ""), words)

    def test_byte_strings(self) -> None:
        module = guest("bytes")
        data = bytes(range(256)) * 4000
        (self.folder / "bytes").write_bytes(data)
        for words, stdin, expected in (
            (("--bytes", "hello", module, "upper"), b"", b"HELLO"),
            (("--bytes", "", module, "reverse"), b"", b""),
            (("--bytes", "-", module, "reverse"), data, data[::-1]),
            (("--bytes", f"@{self.folder}/bytes", module, "echo"), b"", data),
            (("--bytes", "4194304", module, "zeros"), b"", bytes(4 << 20)),
        ):
            ended = self.ctl("call", *words, stdin=stdin)
            self.assertEqual((ended.code, ended.stderr), (DONE, ""), words[1][:20])
            self.assertEqual(ended.stdout, expected, words[1][:20])
        self.assert_refused(self.ctl("call", "--bytes", "4194305", module, "zeros"), "4194305 bytes", "4194304")
        self.assert_refused(self.ctl("call", "--bytes", "x", self.values, "i32"), "on byte strings needs", "(func (param i32 i32)")
        self.assert_refused(self.ctl("call", "--bytes", "x", module, "none"), "none")
        self.assert_refused(self.ctl("call", "--bytes", "@/none/such", module, "echo"), "/none/such")

    def test_values_of_every_type(self) -> None:
        for given, printed in (("30", "30"), ("-1", "-1"), ("0xffffffff", "-1"), ("4294967295", "-1"), ("-0x80000000", "-2147483648")):
            self.check(f"{printed}\n", "i32", given)
        for given, printed in (("-9223372036854775808", "-9223372036854775808"), ("0xffffffffffffffff", "-1")):
            self.check(f"{printed}\n", "i64", given)
        for given, printed in (
            ("0.1", "0.1"), ("-0.0", "-0"), ("inf", "inf"), ("-inf", "-inf"), ("nan", "nan"), ("-nan", "-nan"),
            ("nan:0x1", "nan:0x1"), ("0x1.8p1", "3"), ("1e-45", "1e-45"),
        ):
            self.check(f"{printed}\n", "f32", given)
        for given, printed in (("0.1", "0.1"), ("-nan:0xfffffffffffff", "-nan:0xfffffffffffff"), ("5e-324", "5e-324")):
            self.check(f"{printed}\n", "f64", given)
        self.check("null\n", "ref", "null")
        self.check("0.5\n-7\n", "swap", "-7", "0.5")
        self.check("", "nothing")

    def test_json(self) -> None:
        about = json.loads(self.call("swap", 7, "inf", "-o", "json").stdout)
        self.assertEqual(about["values"], [{"type": "f64", "value": "inf"}, {"type": "i32", "value": 7}])
        self.assertGreaterEqual(about["duration_ns"], 0)
        about = json.loads(self.call("i64", "9007199254740993", "-o", "json").stdout)
        self.assertEqual(about["values"], [{"type": "i64", "value": "9007199254740993"}])
        ended = self.call("trap", "-o", "json")
        self.assertEqual((ended.code, ended.stderr), (TRAP, ""))
        self.assertEqual(json.loads(ended.stdout)["trap"]["code"], "divide-by-zero")

    def test_traps_have_a_backtrace(self) -> None:
        ended = self.call("trap")
        self.assertEqual((ended.code, ended.stdout), (TRAP, b""))
        first, *frames = ended.stderr.splitlines()
        self.assertTrue(first.startswith("wasmctl: trap: "), ended.stderr)
        self.assertEqual(len(frames), 2, ended.stderr)
        self.assertIn("values.wasm", frames[0])

    def test_a_function_that_exits(self) -> None:
        self.assertEqual(self.call("exit", 9).code, 9)

    def test_signatures_in_errors(self) -> None:
        self.assert_refused(self.call("swap", 1), "swap is (i32, f64) -> (f64, i32)", "2 arguments", "not 1")
        self.assert_refused(self.call("i32", "x"), "i32 is (i32) -> i32", "argument 1", "'x' is not an i32")
        self.assert_refused(self.call("i32", "4294967296"), "out of range")
        self.assert_refused(self.call("ref", "5"), "only null can be written")
        self.assert_refused(self.call("absent"), "no exported function absent", "i32, i64")
        self.assert_refused(self.call("memory"), "memory is no function")

    def test_by_digest(self) -> None:
        digest = self.ctl("module load", self.values).stdout.split()[0].decode()
        for name in (digest, digest.removeprefix("sha256:"), digest[: len("sha256:") + 8], digest.removeprefix("sha256:")[:12]):
            self.assertEqual(self.ctl("call", name, "i32", 5).stdout, b"5\n")


class Modules(E2eTest):
    def test_list_inspect_remove(self) -> None:
        module = assemble(VALUES, self.folder / "inspected.wasm")
        loaded = self.ctl("module load", module, "--eager")
        digest, name = loaded.stdout.decode().split()
        self.assertEqual(name, str(module))
        self.assertRegex(digest, r"\Asha256:[0-9a-f]{64}\Z")

        self.assertIn(digest, self.ctl("module ls", "-q").stdout.decode().split())
        table = self.ctl("module ls").stdout.decode().splitlines()
        self.assertTrue(table[0].startswith("DIGEST"))
        self.assertTrue(any(line.startswith(digest[:19]) and "inspected.wasm" in line for line in table), table)
        listed = {entry["digest"]: entry for entry in json.loads(self.ctl("module ls", "-o", "json").stdout)}
        self.assertEqual(listed[digest]["size_bytes"], module.stat().st_size)
        self.assertEqual(listed[digest]["compiled_funcs"], listed[digest]["defined_funcs"])

        text = self.ctl("module inspect", digest[:20]).stdout.decode()
        for part in (digest, "wasi_snapshot_preview1.proc_exit", "func (i32) -> ()", "memory 1 .. 2 pages",
                     "global mutable i64", "func (i32, f64) -> (f64, i32)", "code"):
            self.assertIn(part, text)
        about = json.loads(self.ctl("module inspect", module, "-o", "json").stdout)
        exports = {entry["name"]: entry["type"] for entry in about["exports"]}
        self.assertEqual(exports["swap"], {"kind": "func", "params": ["i32", "f64"], "results": ["f64", "i32"]})
        self.assertEqual(exports["memory"], {"kind": "memory", "limits": {"min": 1, "max": 2}, "address": "i32", "page_size": 65536})

        removed = self.ctl("module rm", digest)
        self.assertEqual((removed.code, removed.stderr), (DONE, ""))
        self.assertIn(digest, removed.stdout.decode())
        self.assertNotIn(digest, self.ctl("module ls", "-q").stdout.decode())
        self.assert_refused(self.ctl("module rm", digest), digest)
        self.assert_refused(self.ctl("module inspect", digest), digest)
        self.assert_refused(self.ctl("module rm", module), "not a digest")

    def test_vectors_and_wide_addresses(self) -> None:
        module = assemble("""(module (memory (export "m") i64 1 4)
            (func (export "swap") (param v128 i32) (result i32 v128) local.get 1 local.get 0))""", self.folder / "wide.wasm")
        text = self.ctl("module inspect", module).stdout.decode()
        self.assertIn("memory i64 1 .. 4 pages", text)
        about = json.loads(self.ctl("module inspect", module, "-o", "json").stdout)
        exports = {entry["name"]: entry["type"] for entry in about["exports"]}
        self.assertEqual(exports["m"], {"kind": "memory", "limits": {"min": 1, "max": 4}, "address": "i64", "page_size": 65536})
        called = self.ctl("call", module, "swap", "i32x4 1 2 3 0xffffffff", 7)
        self.assertEqual(called.stdout.decode().splitlines(), ["7", "i32x4 0x00000001 0x00000002 0x00000003 0xffffffff"])
        self.assert_refused(self.ctl("call", module, "swap", "5", 7), "argument 1", "not a v128", "i32x4 1 2 3 4")

    def test_several_at_once(self) -> None:
        other = assemble("(module)", self.folder / "other.wasm")
        bad = self.folder / "bad.wasm"
        bad.write_text("hello")
        ended = self.ctl("module load", self.module, bad, other)
        self.assertEqual(ended.code, FAILURE)
        self.assertEqual(len(ended.stdout.splitlines()), 2)
        self.assert_one_line(ended.stderr, "wasmctl", "bad.wasm")

    def test_what_a_list_looks_like_without_modules(self) -> None:
        empty = self.start_daemon()
        self.assertEqual(len(run_process(ctl_command(empty, "module ls")).stdout.splitlines()), 1)
        self.assertEqual(json.loads(run_process(ctl_command(empty, "module ls", "-o", "json")).stdout), [])


class Server(E2eTest):
    def test_health(self) -> None:
        ended = self.ctl("health")
        self.assertEqual((ended.code, ended.stdout, ended.stderr), (DONE, b"serving\n", ""))
        self.assertEqual(json.loads(self.ctl("health", "-o", "json").stdout), {"status": "serving"})

    def test_info(self) -> None:
        about = json.loads(self.ctl("info", "-o", "json").stdout)
        self.assertEqual(about["server"]["pid"], self.daemon.pid)
        self.assertTrue(about["session"]["passes_descriptors"])
        self.assertIn("bulk-memory", about["session"]["wasm_features"])
        self.assertIn("wasi_snapshot_preview1", about["session"]["host_modules"])
        text = self.ctl("info").stdout.decode()
        self.assertIn(str(self.daemon.pid), text)

    def test_features(self) -> None:
        features = {f["name"]: f["supported"] for f in json.loads(self.ctl("features", "--json").stdout)["features"]}
        self.assertTrue(features["memory64"])
        self.assertFalse(features["gc"])
        text = self.ctl("features").stdout.decode()
        self.assertRegex(text, r"(?m)^memory64 +on$")
        self.assertRegex(text, r"(?m)^gc +not supported$")
        self.assertEqual(len(text.splitlines()), len(features) + 1)

    def test_top_shows_what_runs(self) -> None:
        client = self.start_client("run", guest("loop_forever"))
        self.wait_until_running(1)
        text = self.ctl("top", "-n", 1).stdout.decode()
        self.assertNotIn("\x1b", text)
        self.assertRegex(text, r"(?m)^run +loop_forever\.wasm")
        # Not a terminal: once.
        self.assertEqual(self.ctl("top").stdout.count(b"wasmd "), 1)
        lines = self.ctl("top", "-n", 2, "-d", "10ms", "-o", "json").stdout.splitlines()
        self.assertEqual(len(lines), 2)
        self.assertEqual(json.loads(lines[1])["activities"][0]["module_name"], "loop_forever.wasm")
        client.signal(2)
        client.end()


class Output(E2eTest):
    def test_full_disk(self) -> None:
        with open("/dev/full", "wb") as full:
            process = subprocess.run(ctl_command(self.daemon, "info"), stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(process.returncode, FAILURE)
        self.assert_one_line(process.stderr.decode(), "wasmctl", "No space left on device")

    def test_reader_that_is_gone(self) -> None:
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "wb") as closed:
            process = subprocess.run(
                ctl_command(self.daemon, "info"), stdout=closed, stderr=subprocess.PIPE, timeout=60, restore_signals=True
            )
        self.assertEqual((process.returncode, process.stderr), (-13, b""))


class Completion(E2eTest):
    def complete(self, *words: str) -> list[str]:
        """What bash offers for the last word."""
        script = (
            'source <("$0" completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wasmctl; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        path = f"{os.path.dirname(wasmctl_command()[0])}:{os.environ['PATH']}"
        done = run_process(["bash", "-c", script, *wasmctl_command(), "wasmctl", *words],
                           env={**os.environ, "PATH": path, "WASMD_ADDR": self.daemon.address}, cwd=self.folder)
        self.assertEqual((done.code, done.stderr), (0, ""))
        return [word for word in done.stdout.decode().split("\n") if word]

    def test_commands_options_values_files_and_digests(self) -> None:
        self.assertEqual(self.complete("mod"), ["module"])
        self.assertEqual(sorted(self.complete("module", "")), ["inspect", "load", "ls", "rm"])
        self.assertEqual(self.complete("run", "--max-mem"), ["--max-memory"])
        self.assertEqual(self.complete("run", "-o", ""), ["table", "json"])
        self.assertEqual(self.complete("completion", "f"), ["fish"])
        self.assertIn("module.wasm", self.complete("run", "mod"))
        digest = self.ctl("module load", self.module).stdout.split()[0].decode().removeprefix("sha256:")
        self.assertEqual(self.complete("module", "rm", digest[:6]), [digest])

    def test_other_shells(self) -> None:
        for shell, word in (("zsh", "#compdef wasmctl"), ("fish", "complete -c wasmctl")):
            ended = run_process(wasmctl_command("completion", shell))
            self.assertEqual(ended.code, DONE)
            self.assertIn(word, ended.stdout.decode())


if __name__ == "__main__":
    main()
