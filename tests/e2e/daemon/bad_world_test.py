"""A world that goes wrong: directories that vanish or are none, full disks, no descriptors, a clock that jumps, guests that bomb. Always the
guest gets the errno or trap that docs/limits.md says, the user one line, and the daemon and its other guests go on."""

from __future__ import annotations

import json
import mmap
import pathlib
import shutil
import struct
import subprocess
import tempfile

from harness import (
    DEADLINE,
    DONE,
    FAILURE,
    MIB,
    TRAP,
    WATCHDOG_S,
    Client,
    Daemon,
    E2eTest,
    Ended,
    assemble,
    ctl_command,
    guest,
    main,
    note,
    run_process,
    status_bytes,
)


class WorldTest(E2eTest):
    def folder_of_test(self) -> pathlib.Path:
        return pathlib.Path(tempfile.mkdtemp(dir=self.folder))

    def greedy(self, folder: pathlib.Path, *words: object, options: tuple[str, ...] = ()) -> Ended:
        return self.ctl("run", *options, "--dir", f"{folder}::/d", guest("greedy"), *words)


class Directories(WorldTest):
    def test_one_that_is_none(self) -> None:
        folder = self.folder_of_test()
        (folder / "file").write_text("x")
        (folder / "a").symlink_to("b")
        (folder / "b").symlink_to("a")
        for name, reason in (
            ("file", "Not a directory"),
            ("a", "Too many levels of symbolic links"),
            ("missing", "No such file or directory"),
        ):
            with self.subTest(name=name):
                ended = self.ctl("run", "--dir", f"{folder / name}::/d", guest("hello"))
                self.assert_refused(ended, "--dir", name, reason)

    def test_a_root_that_is_none(self) -> None:
        folder = self.folder_of_test()
        (folder / "file").write_text("x")
        for name, reason in (("file", "Not a directory"), ("missing", "No such file or directory")):
            ended = self.start_wasmd_in_vain("--listen", f"unix:{folder}/s", "--root", f"data={folder / name}")
            self.assertEqual(ended.code, 1)
            self.assert_one_line(ended.stderr, "wasmd", "--root", reason)

    def test_one_that_vanishes(self) -> None:
        folder = self.folder_of_test()
        client = self.start_client("run", "--dir", f"{folder}::/d", guest("greedy"), "later", "/d/new")
        self.assertEqual(client.read_line(), b"waiting\n")
        folder.rmdir()
        ended = client.end()
        self.assertEqual((ended.code, ended.stdout), (7, b"create: 0, then No such file or directory\n"))

    def test_a_root_that_vanishes(self) -> None:
        folder = self.folder_of_test()
        daemon = self.start_daemon("--root", f"data={folder}")
        folder.rmdir()
        client = self.start_client("run", "--root", "data::/d", guest("greedy"), "later", "/d/new", daemon=daemon)
        self.assertEqual(client.end().stdout, b"waiting\ncreate: 0, then No such file or directory\n")
        self.check_call(daemon)

    def test_loops_inside(self) -> None:
        folder = self.folder_of_test()
        (folder / "a").symlink_to("b")
        (folder / "b").symlink_to("a")
        ended = self.greedy(folder, "fill", "/d/a")
        self.assertEqual((ended.code, ended.stdout), (7, b"open: 0, then Symbolic link loop\n"))


class FullDisk(WorldTest):
    def in_small_folder(self, *words: object) -> Ended:
        """`wasmctl run`, given a file system of 1 MiB and 100 files that nobody else sees."""
        folder = self.folder_of_test()
        wrapper = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=1m,nr_inodes=100 none "{folder}" && exec "$@"', "sh"]
        if run_process([*wrapper, "true"]).code != 0:
            self.skipTest("no mount namespace for this user")
        return run_process([*wrapper, *ctl_command(self.daemon, "run", "--dir", f"{folder}::/d", guest("greedy"), *words)])

    def test_a_file_that_fills_it(self) -> None:
        ended = self.in_small_folder("fill", "/d/x")
        self.assertEqual((ended.code, ended.stderr), (7, ""))
        self.assertEqual(ended.stdout, f"fill: {MIB}, then No space left on device\n".encode())

    def test_files_that_fill_it(self) -> None:
        ended = self.in_small_folder("create", "/d")
        self.assertEqual((ended.code, ended.stderr), (7, ""))
        self.assertRegex(ended.stdout.decode(), r"\Acreate: [0-9]{2}, then No space left on device\n\Z")

    def test_standard_output(self) -> None:
        with open("/dev/full", "wb") as full:
            process = subprocess.Popen(
                ctl_command(self.daemon, "run", guest("write_forever")),
                stdin=subprocess.DEVNULL,
                stdout=full,
                stderr=subprocess.PIPE,
            )
            _, err = process.communicate(timeout=WATCHDOG_S)
        self.assertNotEqual(process.returncode, DONE)
        note(f"standard output is full: exit code {process.returncode}, {err!r}")

    def test_the_daemons_limit_of_a_files_size(self) -> None:
        """RLIMIT_FSIZE kills by SIGXFSZ who does not ignore it."""
        folder = self.folder_of_test()
        daemon = self.start_daemon()
        self.check_call(daemon)
        subprocess.run(["prlimit", f"--pid={daemon.pid}", "--fsize=200000"], check=True, timeout=WATCHDOG_S)
        client = Client(daemon, "run", "--dir", f"{folder}::/d", guest("greedy"), "fill", "/d/x")
        self.addCleanup(client.dispose)
        ended = client.end()
        self.assertEqual((ended.code, ended.stdout), (7, b"fill: 200000, then File too large\n"))
        self.check_call(daemon)


class LimitedDaemon(Daemon):
    """A wasmd with a resource limit of the system's: "--nofile=64"."""

    def __init__(self, limit: str, socket_path: pathlib.Path) -> None:
        self.wrapper = ["prlimit", limit]
        super().__init__(socket_path=socket_path)


class NoDescriptors(WorldTest):
    def test_of_the_daemon(self) -> None:
        """Guests get no more than three quarters of them, so that clients find some; who finds none waits or is told."""
        folder = self.folder_of_test()
        daemon = LimitedDaemon("--nofile=100", folder / "s")
        self.addCleanup(daemon.kill)
        files = self.folder_of_test()
        client = Client(daemon, "run", "--dir", f"{files}::/d", guest("greedy"), "open", "/d")
        self.addCleanup(client.dispose)
        ended = client.end()
        self.assertEqual(ended.code, 7, ended)
        self.assertRegex(ended.stdout.decode(), r"\Aopen: [0-9]{2}, then No file descriptors available\n\Z")
        # Programs that hold what is left, one client after the other, until one is refused.
        holders: list[Client] = []
        refused = None
        while refused is None and len(holders) < 60:
            holder = Client(daemon, "run", "--timeout", "30s", guest("greedy"), "later", "/d/x")
            self.addCleanup(holder.dispose)
            assert holder.process.stdout is not None
            if holder.process.stdout.readline() == b"waiting\n":
                holders.append(holder)
            else:
                refused = holder.end()
        note(f"wasmd with 100 descriptors: {len(holders)} programs at one time, then {refused}")
        self.assertIsNotNone(refused)
        self.assertGreater(len(holders), 2)
        self.assertEqual(refused.code, FAILURE)
        self.assert_one_line(refused.stderr, "wasmctl")
        # Where the last ones go is a matter of how many the daemon has open itself: to one that was accepted and has
        # descriptors to pass, or to one that is not accepted before its patience ends.
        self.assertRegex(refused.stderr, "no descriptor|does not answer")
        for holder in holders:
            holder.dispose()
        self.wait_until_idle(daemon)
        self.check_call(daemon)

    def test_of_the_guest(self) -> None:
        folder = self.folder_of_test()
        ended = self.greedy(folder, "open", "/d")
        self.assertEqual((ended.code, ended.stdout), (7, b"open: 1020, then No file descriptors available\n"))


class Bombs(WorldTest):
    """What grows without end ends somewhere."""

    options = ("--max-memory", "64MiB")

    def test_folders_in_folders(self) -> None:
        folder = self.folder_of_test()
        ended = self.greedy(folder, "deep", "/d")
        self.assertEqual(ended.code, 7, ended)
        self.assertRegex(ended.stdout.decode(), r"\Adeep: [0-9]+, then Filename too long\n\Z")

    def test_subscriptions(self) -> None:
        ended = self.ctl("run", guest("greedy"), "poll", 16_385)
        self.assertEqual((ended.code, ended.stdout), (7, b"poll: 0, then Out of memory\n"))

    def test_time(self) -> None:
        clients = [self.start_client("run", "--timeout", "500ms", guest("loop_forever")) for _ in range(8)]
        self.check_call(self.daemon)
        for client in clients:
            self.assertEqual(client.end().code, DEADLINE)

    def test_instances_memory(self) -> None:
        """Many calls at once, each of an instance that wants a lot."""
        big = assemble('(module (memory 900) (func (export "loop") (loop $again (br $again))))', self.folder / "big.wasm")
        daemon = self.start_daemon("--max-total-memory", "200MiB")
        clients = [self.start_client("call", "--timeout", "2s", big, "loop", daemon=daemon) for _ in range(6)]
        ended = [client.end() for client in clients]
        refused = [one for one in ended if one.code == FAILURE]
        self.assertGreater(len(refused), 2, ended)
        for one in refused:
            self.assert_one_line(one.stderr, "wasmctl", "--max-total-memory")
        self.assertTrue(all(one.code in (FAILURE, DEADLINE) for one in ended), ended)
        self.check_call(daemon)

    def test_recursion(self) -> None:
        ended = self.ctl("call", self.module, "recurse", 1)
        self.assertEqual(ended.code, TRAP)

    def test_start_function(self) -> None:
        module = assemble(
            '(module (memory 1) (func $grow (loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable)'
            ' (start $grow) (func (export "f")))',
            self.folder / "start.wasm",
        )
        ended = self.ctl("call", module, "f")
        self.assertEqual(ended.code, TRAP, ended)
        self.assertIn("hint: it asked for more memory than the limit --max-memory", ended.stderr)

    def test_they_leave_nothing(self) -> None:
        before = status_bytes(self.daemon.pid, "VmRSS")
        for _ in range(5):
            self.assertEqual(self.ctl("run", guest("allocate_forever")).code, 7)
        self.wait_until_idle()
        self.wait_for("memory is free again", lambda: status_bytes(self.daemon.pid, "VmRSS") < before + 32 * MIB)


# Adds an offset, in nanoseconds, that a file has, to the wall clock of a process: what a clock that is set does to it.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile long long* offset;
__attribute__((constructor)) static void Map(void) {
  int fd = open(getenv("CLOCK_OFFSET"), O_RDONLY);
  offset = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
}
static int (*real)(clockid_t, struct timespec*);
int clock_gettime(clockid_t clock, struct timespec* time) {
  if (real == NULL) real = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(clock, time);
  if (!failed && clock == CLOCK_REALTIME && offset != NULL && offset != MAP_FAILED) time->tv_sec += *offset / 1000000000;
  return failed;
}
int gettimeofday(struct timeval* time, void* zone) {
  struct timespec now;
  (void)zone;
  int failed = clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return failed;
}
"""


class Clock(WorldTest):
    """A wall clock that jumps moves no limit and no deadline that is under way."""

    HOUR_NS = 3600 * 10**9

    def start_daemon_with_clock(self, *options: str) -> tuple[Daemon, mmap.mmap]:
        if shutil.which("cc") is None:
            self.skipTest("no C compiler for the clock's shim")
        folder = self.folder_of_test()
        (folder / "clock.c").write_text(CLOCK)
        subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", folder / "clock.c", "-o", folder / "clock.so", "-ldl"],
            check=True,
            timeout=WATCHDOG_S,
        )
        path = folder / "offset"
        path.write_bytes(bytes(4096))
        with open(path, "r+b") as file:
            offset = mmap.mmap(file.fileno(), 4096)
        daemon = ShiftedDaemon(folder, path, options)
        self.addCleanup(daemon.kill)
        self.jump(offset, self.HOUR_NS)
        self.assertGreater(self.stats(daemon)["uptime_ms"], 3_500_000, "the daemon's wall clock does not jump")
        self.jump(offset, 0)
        return daemon, offset

    def jump(self, offset: mmap.mmap, by_ns: int) -> None:
        offset[0:8] = struct.pack("q", by_ns)

    def test_limits_of_time(self) -> None:
        for direction in (1, -1):
            with self.subTest(direction=direction):
                daemon, offset = self.start_daemon_with_clock("--max-run-time", "2s")
                client = Client(daemon, "run", guest("greedy"), "later", "/d")
                self.addCleanup(client.dispose)
                self.assertEqual(client.read_line(), b"waiting\n")
                self.jump(offset, direction * self.HOUR_NS)
                self.assertEqual(client.wait(), FAILURE)
                ended = client.end()
                self.assertIn("2s (--max-run-time)", ended.stderr)
                self.assertGreater(client.seconds(), 1.5, "an hour that was none ended it early")
                self.check_call(daemon)

    def test_a_clients_deadline(self) -> None:
        for direction in (1, -1):
            with self.subTest(direction=direction):
                daemon, offset = self.start_daemon_with_clock()
                client = Client(daemon, "run", "--timeout", "2s", guest("greedy"), "later", "/d")
                self.addCleanup(client.dispose)
                self.assertEqual(client.read_line(), b"waiting\n")
                self.jump(offset, direction * self.HOUR_NS)
                self.assertEqual(client.wait(), DEADLINE)
                self.assertGreater(client.seconds(), 1.5, "an hour that was none ended it early")
                client.end()
                self.wait_until_idle(daemon)
                self.check_call(daemon)


    def test_sessions_that_are_idle(self) -> None:
        """One that no connection holds ends when it was idle for long: by a clock that nobody sets."""
        daemon, offset = self.start_daemon_with_clock("--session-idle-timeout", "12s")
        # Asks twice, and is idle for seconds between; the daemon looks for idle sessions meanwhile.
        client = Client(daemon, "top", "-n", 2, "-d", "4s", "-o", "json")
        self.addCleanup(client.dispose)
        self.assertEqual(json.loads(client.read_line())["sessions"], 1)
        self.jump(offset, self.HOUR_NS)
        self.assertEqual(json.loads(client.read_line())["sessions"], 1, "an hour that was none ended it")


class ShiftedDaemon(Daemon):
    def __init__(self, folder: pathlib.Path, offset: pathlib.Path, options: tuple[str, ...]) -> None:
        self.wrapper = ["env", f"LD_PRELOAD={folder}/clock.so", f"CLOCK_OFFSET={offset}"]
        super().__init__(options, folder / "s")


if __name__ == "__main__":
    main()
