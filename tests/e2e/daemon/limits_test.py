"""Limits with names: what is asked for in a request, of a session, of a user, of the daemon. At each the guest gets what docs/limits.md
says, the user one line that names the option, and everybody else goes on."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import tempfile
from typing import Any

from harness import (
    DEADLINE,
    DONE,
    FAILURE,
    MIB,
    TRAP,
    Client,
    Daemon,
    E2eTest,
    Ended,
    assemble,
    guest,
    main,
    note,
    wasmctl,
)

WAYS = ((), ("--no-pass-fds",))

TABLES = """(module
  (table $t (export "table") 10 externref)
  (func (export "grow") (param i32) (result i32)
    (table.grow $t (ref.null extern) (local.get 0)))
  (func (export "grow_or_trap") (param i32)
    (if (i32.eq (table.grow $t (ref.null extern) (local.get 0)) (i32.const -1)) (then unreachable)))
  (memory 1)
  (func (export "spin") (loop $again (br $again)))
  (func (export "memory_or_trap") (param i32)
    (if (i32.eq (memory.grow (local.get 0)) (i32.const -1)) (then unreachable))))"""

BIG = '(module (memory (export "memory") 1024) (func (export "f") (result i32) (i32.const 1)))'


class LimitsTest(E2eTest):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.tables = assemble(TABLES, cls.folder / "tables.wasm")
        cls.big = assemble(BIG, cls.folder / "big.wasm")

    def folder_of_test(self) -> pathlib.Path:
        return pathlib.Path(tempfile.mkdtemp(dir=self.folder))

    def limits(self, daemon: Daemon | None = None) -> dict[tuple[str, str], dict[str, Any]]:
        """By scope and resource; of sessions, the asking one."""
        ended = wasmctl(daemon or self.daemon, "limits", "-o", "json")
        self.assertEqual(ended.code, DONE, ended)
        return {(row["scope"], row["resource"]): row for row in json.loads(ended.stdout)["limits"]}

    def used(self, scope: str, resource: str, daemon: Daemon | None = None) -> int:
        return self.limits(daemon)[scope, resource]["used"]

    def assert_hinted(self, ended: Ended, option: str) -> None:
        self.assertRegex(ended.stderr, rf"(?m)^wasmctl: hint: it asked for more memory than the limit {option} of [0-9]+$")

    def assert_given_back(self, daemon: Daemon | None = None) -> None:
        def all_back() -> bool:
            rows = self.limits(daemon)
            return all(
                rows[key]["used"] == 0
                for key in (("user", "memory"), ("user", "open files"), ("user", "programs"), ("user", "calls"))
            )

        self.wait_for("everything is given back", all_back)


class RequestLimits(LimitsTest):
    """Flags of `wasmctl run` and `wasmctl call`: less than the daemon allows."""

    def test_memory_from_the_start(self) -> None:
        self.assert_refused(self.ctl("call", "--max-memory", "1M", self.big, "f"), "--max-memory of 1048576")
        self.assert_refused(self.ctl("run", "--max-memory", "64K", guest("hello")), "--max-memory of 65536")
        self.assertEqual(self.ctl("call", "--max-memory", "64M", self.big, "f").stdout, b"1\n")

    def test_growth_is_minus_one_and_hinted_at(self) -> None:
        ended = self.ctl("call", "--max-memory", "1M", self.tables, "memory_or_trap", 16)
        self.assertEqual(ended.code, TRAP, ended)
        self.assert_hinted(ended, "--max-memory")
        ended = self.ctl("call", "--max-table-elements", 1000, self.tables, "grow_or_trap", 991)
        self.assertEqual(ended.code, TRAP, ended)
        self.assert_hinted(ended, "--max-table-elements")
        ended = self.ctl("call", "--max-table-elements", 1000, self.tables, "grow", 990)
        self.assertEqual((ended.stdout, ended.stderr), (b"10\n", ""))
        self.assert_refused(self.ctl("call", "--max-table-elements", 9, self.tables, "grow", 0), "--max-table-elements of 9")

    def test_a_trap_without_refusal_has_no_hint(self) -> None:
        ended = self.ctl("run", guest("trap"), "unreachable")
        self.assertEqual(ended.code, TRAP)
        self.assertNotIn("hint", ended.stderr)

    def test_json_has_it(self) -> None:
        ended = self.ctl("call", "-o", "json", "--max-memory", "1M", self.tables, "memory_or_trap", 16)
        self.assertEqual(json.loads(ended.stdout)["refused_at"], "--max-memory of 1048576")

    def test_stack(self) -> None:
        deep = self.ctl("call", self.module, "recurse", 1)
        shallow = self.ctl("call", "--wasm-stack", "256K", self.module, "recurse", 1)
        for ended in (deep, shallow):
            self.assertEqual(ended.code, TRAP)
            self.assertIn("stack", ended.stderr.splitlines()[0])

        def frames(ended: Ended) -> int:
            more = re.search(r"([0-9]+) more", ended.stderr)
            self.assertIsNotNone(more, ended)
            return int(more.group(1))

        note(f"frames until the stack is full: {frames(deep)} and {frames(shallow)}")
        self.assertGreater(frames(deep), 10 * frames(shallow))

    def test_cpu_time(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                ended = self.ctl("run", *way, "--max-cpu-time", "200ms", guest("loop_forever"))
                self.assertEqual((ended.code, ended.stdout), (FAILURE, b"looping\n"))
                self.assert_one_line(ended.stderr, "wasmctl", "200ms of CPU time (--max-cpu-time)")
        self.assert_refused(
            self.ctl("call", "--max-cpu-time", "200ms", self.tables, "spin"), "spin", "(--max-cpu-time)"
        )
        # What waits uses none.
        ended = self.ctl("run", "--max-cpu-time", "200ms", guest("poll_sleep"), "sleep", 600)
        self.assertEqual((ended.code, ended.stderr), (DONE, ""))

    def test_open_files(self) -> None:
        folder = self.folder_of_test()
        for limit in (4, 16, 100):
            ended = self.ctl("run", "--max-open-files", limit, "--dir", f"{folder}::/d", guest("greedy"), "open", "/d")
            self.assertEqual(ended.code, 7, ended)
            # Three streams and the directory.
            self.assertEqual(ended.stdout, f"open: {limit - 4}, then No file descriptors available\n".encode())
        self.assert_refused(
            self.ctl("run", "--max-open-files", 3, "--dir", f"{folder}::/d", guest("greedy"), "open", "/d"), "open files"
        )

    def test_output_buffer(self) -> None:
        """A program that nobody reads is held when so much is buffered: what it could write differs."""
        ended = self.ctl("run", "--no-pass-fds", "--max-output-buffer", "4K", guest("write_forever"), 1_000_000)
        self.assertEqual((ended.code, len(ended.stdout)), (DONE, 1_000_000))


class DaemonLimits(LimitsTest):
    """The daemon's options hold whatever a request says."""

    options = (
        "--max-table-elements", "1000", "--max-open-files", "16", "--wasm-stack", "256KiB", "--max-cpu-time", "300ms",
        "--max-run-time", "1s", "--max-call-time", "700ms", "--max-output-buffer", "4KiB",
    )  # fmt: skip

    def test_requests_cannot_raise_them(self) -> None:
        ended = self.ctl("call", "--max-table-elements", 5000, self.tables, "grow", 991)
        self.assertEqual(ended.stdout, b"-1\n")
        folder = self.folder_of_test()
        ended = self.ctl("run", "--max-open-files", 500, "--dir", f"{folder}::/d", guest("greedy"), "open", "/d")
        self.assertEqual(ended.stdout, b"open: 12, then No file descriptors available\n")
        ended = self.ctl("run", "--max-cpu-time", "10s", guest("loop_forever"))
        self.assert_one_line(ended.stderr, "wasmctl", "300ms of CPU time (--max-cpu-time)")

    def test_wall_time(self) -> None:
        ended = self.ctl("run", "--timeout", "1h", guest("poll_sleep"), "sleep", 3_600_000)
        self.assertEqual(ended.code, FAILURE)
        self.assert_one_line(ended.stderr, "wasmctl", "1s (--max-run-time)")
        # A client's own deadline that comes first is told as that.
        ended = self.ctl("run", "--timeout", "100ms", guest("poll_sleep"), "sleep", 3_600_000)
        self.assertEqual(ended.code, DEADLINE)
        self.assert_one_line(ended.stderr, "wasmctl", "100ms")

    def test_they_are_listed(self) -> None:
        rows = self.limits()
        self.assertEqual(rows["invocation", "open files"]["limit"], 16)
        self.assertEqual(rows["invocation", "time of a program"]["limit"], 1000)
        self.assertEqual(rows["user", "channels"]["limit"], 256)
        self.assertIsNone(rows["user", "memory"]["limit"])
        table = self.ctl("limits").stdout.decode()
        self.assertRegex(table, r"(?m)^invocation +CPU time +0.3 s +--max-cpu-time$")


class SharedLimits(LimitsTest):
    """Of sessions, users and the daemon: what several guests take together."""

    def start_holder(self, daemon: Daemon, mib: int) -> Client:
        """A program that has allocated so much and waits for its input."""
        client = self.start_client("run", guest("hold"), mib, daemon=daemon)
        self.assertEqual(client.read_line(), f"holding {mib} MiB\n".encode())
        return client

    def test_memory_of_a_user(self) -> None:
        daemon = self.start_daemon("--max-user-memory", "100MiB")
        first = self.start_holder(daemon, 40)
        self.assertGreater(self.used("user", "memory", daemon), 40 * MIB)
        client = Client(daemon, "run", guest("allocate_forever"))
        self.addCleanup(client.dispose)
        ended = client.end()
        self.assertEqual(ended.code, 7)
        self.assert_hinted(ended, "--max-user-memory")
        refused = Client(daemon, "call", self.big, "f")
        self.addCleanup(refused.dispose)
        self.assert_refused(refused.end(), "--max-user-memory of")
        self.check_call(daemon)
        self.assertEqual(first.end(b"\n").code, DONE)
        self.assert_given_back(daemon)

    def test_memory_of_a_session(self) -> None:
        """One session is one wasmctl, so its program alone."""
        daemon = self.start_daemon("--max-session-memory", "50MiB")
        client = Client(daemon, "run", guest("allocate_forever"))
        self.addCleanup(client.dispose)
        self.assert_hinted(client.end(), "--max-session-memory")
        self.start_holder(daemon, 30)
        self.start_holder(daemon, 30)  # Another's.

    def test_scratch_directories_are_memory(self) -> None:
        """The whole of it, before anything is written: a part of it would be found missing in the middle of a run."""
        daemon = self.start_daemon("--max-session-memory", "50MiB")
        for size in ("/s=48M", "/s"):
            client = Client(daemon, "run", "--scratch", size, guest("hello"))
            self.addCleanup(client.dispose)
            self.assert_refused(client.end(), "50 MiB of memory", "--max-session-memory")
        self.assert_given_back(daemon)

    def test_all_memory(self) -> None:
        """Many guests at once allocate all they can. Nobody is killed, and none sees another's limit as more than a refusal."""
        total = 192 * MIB
        daemon = self.start_daemon("--max-total-memory", "192MiB")
        clients = [self.start_client("run", guest("allocate_forever"), daemon=daemon) for _ in range(6)]
        for client in clients:
            ended = client.end()
            # One that found nothing at all was refused at its start.
            self.assertIn(ended.code, (7, FAILURE), ended)
            self.assertIn("--max-total-memory", ended.stderr)
        peak = daemon.peak_bytes()
        note(f"6 guests that allocate everything within {total / MIB:.0f} MiB: daemon's VmHWM {peak / MIB:.1f} MiB")
        self.assertLess(peak, total + 96 * MIB)
        self.check_call(daemon)
        self.assert_given_back(daemon)

    def test_programs(self) -> None:
        daemon = self.start_daemon("--max-user-runs", "2", "--max-session-runs", "1")
        first, second = (self.start_holder(daemon, 1) for _ in range(2))
        refused = Client(daemon, "run", guest("hello"))
        self.addCleanup(refused.dispose)
        self.assert_refused(refused.end(), "a user has no more than 2 programs at one time (--max-user-runs)")
        self.assertEqual(first.end(b"\n").code, DONE)
        again = Client(daemon, "run", guest("hello"))
        self.addCleanup(again.dispose)
        self.assertEqual(again.end().stdout, b"hello, world\n")
        self.assertEqual(second.end(b"\n").code, DONE)

    def test_calls(self) -> None:
        daemon = self.start_daemon("--max-user-calls", "1")
        busy = self.start_client("call", self.tables, "spin", daemon=daemon)
        self.wait_until_running(1, daemon)
        refused = Client(daemon, "call", self.module, "fib", 3)
        self.addCleanup(refused.dispose)
        self.assert_refused(refused.end(), "(--max-user-calls)")
        busy.dispose()
        self.wait_until_idle(daemon)
        self.check_call(daemon)

    def test_sessions(self) -> None:
        daemon = self.start_daemon("--max-user-sessions", "2")
        self.start_holder(daemon, 1)
        self.start_holder(daemon, 1)
        refused = Client(daemon, "call", self.module, "fib", 3)
        self.addCleanup(refused.dispose)
        self.assertIn("--max-user-sessions", refused.end().stderr)

    def test_open_files(self) -> None:
        folder = self.folder_of_test()
        daemon = self.start_daemon("--max-user-open-files", "60", "--max-session-open-files", "50")
        greedy = Client(daemon, "run", "--dir", f"{folder}::/d", guest("greedy"), "open", "/d")
        self.addCleanup(greedy.dispose)
        self.assertEqual(greedy.end().stdout, b"open: 46, then No file descriptors available\n")
        self.start_holder(daemon, 1)  # Three streams.
        self.start_holder(daemon, 1)
        self.start_holder(daemon, 1)
        self.start_holder(daemon, 1)
        greedy = Client(daemon, "run", "--dir", f"{folder}::/d", guest("greedy"), "open", "/d")
        self.addCleanup(greedy.dispose)
        self.assertEqual(greedy.end().stdout, b"open: 44, then No file descriptors available\n")
        self.assertEqual(self.used("user", "open files", daemon), 12)

    def test_modules(self) -> None:
        daemon = self.start_daemon("--max-user-module-memory", "200KiB")
        for size in (60, 70, 80, 90):
            path = assemble(f'(module (memory 4) (data (i32.const 0) "{"x" * size * 1024}"))', self.folder / "filled.wasm")
            loaded = Client(daemon, "module load", path)
            self.addCleanup(loaded.dispose)
            self.assertEqual(loaded.end().code, DONE)
            self.assertLessEqual(self.used("user", "module memory", daemon), 200 * 1024)
        large = assemble(f'(module (memory 4) (data (i32.const 0) "{"x" * 201 * 1024}"))', self.folder / "large.wasm")
        refused = Client(daemon, "module load", large)
        self.addCleanup(refused.dispose)
        ended = refused.end()
        self.assertEqual(ended.code, FAILURE)
        self.assert_one_line(ended.stderr, "wasmctl", "--max-user-module-memory")


class Ceiling(LimitsTest):
    """The daemon's own ceiling comes from its cgroup."""

    def test_cgroup(self) -> None:
        limit_file = own_limit_file()
        if limit_file is None:
            self.skipTest("no memory controller of a cgroup is mounted here")
        fake = self.folder / "limit"
        fake.write_text(f"{320 * MIB}\n")
        daemon_folder = self.folder_of_test()
        probe = subprocess.run(["unshare", "-m", "mount", "--bind", fake, limit_file], capture_output=True, check=False)
        if probe.returncode != 0:
            self.skipTest(f"no mount namespace for this user: {probe.stderr.decode()}")
        daemon = WrappedDaemon(
            ["unshare", "-m", "sh", "-c", f'mount --bind "{fake}" "{limit_file}" && exec "$@"', "sh"],
            daemon_folder / "wasmd.sock",
        )
        self.addCleanup(daemon.kill)
        row = self.limits(daemon)["daemon", "memory"]
        self.assertEqual((row["limit"], row["option"]), ((320 - 20 - 96) * MIB, "--max-total-memory"))
        client = Client(daemon, "run", guest("allocate_forever"))
        self.addCleanup(client.dispose)
        self.assert_hinted(client.end(), "--max-total-memory")
        self.assertLess(daemon.peak_bytes(), 320 * MIB)
        self.check_call(daemon)


class WrappedDaemon(Daemon):
    """A wasmd that a command prepares the world for, and then becomes."""

    def __init__(self, wrapper: list[str], socket_path: pathlib.Path) -> None:
        self.wrapper = wrapper
        super().__init__(socket_path=socket_path)


def own_limit_file() -> str | None:
    """The file of this process's cgroup with its memory limit."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    paths = dict(
        (line.split(":", 2)[1], line.split(":", 2)[2])
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()
    )
    for words in mounts:
        kind, options = words[words.index("-") + 1], words[-1].split(",")
        name = "memory.max" if kind == "cgroup2" else "memory.limit_in_bytes"
        path = paths.get("" if kind == "cgroup2" else "memory")
        if path is None or not (kind == "cgroup2" or (kind == "cgroup" and "memory" in options)):
            continue
        if words[3] != "/":
            path = path.removeprefix(words[3])
        while True:
            candidate = f"{words[4]}{path.rstrip('/')}/{name}"
            if os.path.exists(candidate):
                return candidate
            if path in ("", "/"):
                break
            path = os.path.dirname(path)
    return None


if __name__ == "__main__":
    main()
