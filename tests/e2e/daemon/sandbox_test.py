"""What the daemon has given up: every thread's seccomp and capabilities, memory that is never writable
and executable, core dumps without guests' memory, directories that strict mode refuses."""

from __future__ import annotations

import json
import os
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
from typing import Iterator

from harness import (
    DONE,
    WATCHDOG_S,
    E2eTest,
    assemble,
    bin_dir,
    ctl_command,
    guest,
    main,
)

os.environ.pop("WASMD_TEST_SANDBOX", None)  # Each class here has its mode.

# Capabilities that a mode may leave: dac_override, fowner and sys_nice; sys_nice.
LEFT = {"basic": 1 << 1 | 1 << 3 | 1 << 23, "strict": 1 << 23}

# Fills its memory with words that stand in no module: word i is i * A + B, of 8 bytes. Then it goes on for ever.
A, B = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
FILL = f"""(module (memory (export "memory") 4)
  (func (export "fill") (local $at i32)
    (loop $next
      (i64.store (local.get $at)
        (i64.add (i64.mul (i64.extend_i32_u (local.get $at)) (i64.const {A})) (i64.const {B})))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 262144))))
    (loop $again (br $again))))"""


def filled(at: int) -> bytes:
    """32 bytes of such a memory; fewer could be on a stack for good reasons."""
    return b"".join(struct.pack("<Q", ((at + 8 * i) * A + B) % 2**64) for i in range(4))


class Mapping:
    def __init__(self, header: str) -> None:
        fields = header.split(maxsplit=5)
        self.begin, self.end = (int(end, 16) for end in fields[0].split("-"))
        self.protection = fields[1]
        self.name = fields[5].strip() if len(fields) > 5 else ""
        self.flags: set[str] = set()

    def __repr__(self) -> str:
        return f"{self.begin:x}-{self.end:x} {self.protection} {self.name} {sorted(self.flags)}"


def mappings(pid: int) -> list[Mapping]:
    found: list[Mapping] = []
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            found.append(Mapping(line))
        elif line.startswith("VmFlags:"):
            found[-1].flags = set(line.split()[1:])
    return found


def threads(pid: int) -> Iterator[dict[str, str]]:
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        yield dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)


class Confined(E2eTest):
    """What all modes have in common. `mode` may not be what WASMD_TEST_SANDBOX says."""

    mode = "basic"
    options: tuple[str, ...] = ("--sandbox", "basic")

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.filler = assemble(FILL, cls.folder / "filler.wasm")

    def start_filler(self) -> None:
        self.start_client("call", self.filler, "fill")
        self.wait_until_running(1)

    def skip_unless_it_may_be_looked_into(self) -> None:
        # Files in /proc of a process that is not dumpable are root's.
        if self.mode == "strict" and os.geteuid() != 0:
            self.skipTest("******** SKIPPED: only root sees a daemon in strict mode ********")

    def test_says_what_is_in_force(self) -> None:
        sandbox = json.loads(self.ctl("info", "-o", "json").stdout)["server"]["sandbox"]
        self.assertEqual(sandbox["mode"], self.mode)
        self.assertIn(f"sandbox mode={self.mode} in-force=", self.daemon.log())
        for what in [*sandbox["in_force"], *sandbox["lacking"]]:
            self.assertIn(what, self.daemon.log())
        if self.mode == "off":
            self.assertEqual((sandbox["in_force"], sandbox["lacking"]), ([], []))
        else:
            self.assertIn("no new privileges", sandbox["in_force"])
        self.assertRegex(self.ctl("info").stdout.decode(), rf"(?m)^sandbox +{self.mode}")

    def test_every_thread_is_confined(self) -> None:
        self.start_filler()  # Threads that are younger than the sandbox.
        info = json.loads(self.ctl("info", "-o", "json").stdout)["server"]["sandbox"]
        filtered = any(what.startswith(("system calls", "no system calls")) for what in info["in_force"])
        seen = list(threads(self.daemon.pid))
        own = next(threads(os.getpid()))
        self.assertGreater(len(seen), 5)
        for thread in seen:
            if self.mode == "off":
                for kept in ("NoNewPrivs", "Seccomp", "CapEff"):
                    self.assertEqual(thread[kept], own[kept], thread)
                continue
            self.assertEqual(thread["NoNewPrivs"], "1", thread)
            if filtered:
                self.assertEqual(thread["Seccomp"], "2", thread)
            for held in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(thread[held], 16) & ~LEFT[self.mode], 0, thread)

    def test_no_memory_is_writable_and_executable(self) -> None:
        self.skip_unless_it_may_be_looked_into()
        self.start_filler()
        maps = mappings(self.daemon.pid)
        self.assertEqual([m for m in maps if "w" in m.protection and "x" in m.protection], [])
        # Generated code has two faces, and no other file that is mapped executable is ever mapped writable.
        code = [m.protection for m in maps if "wasmd-code" in m.name]
        self.assertEqual(sorted(code), ["r-xs", "rw-s"])
        executable = {m.name for m in maps if "x" in m.protection and m.name and "wasmd-code" not in m.name}
        writable = {m.name for m in maps if "w" in m.protection and "s" in m.protection}
        self.assertEqual(executable & writable, set())

    def test_clients_get_no_code(self) -> None:
        """A channel's client has the channel's segment and nothing else of the daemon's memory."""
        client = subprocess.Popen(
            [bin_dir() / "fault/channel_client", self.daemon.address, self.module, "attached", "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(client.communicate)
        self.addCleanup(client.kill)
        assert client.stdout is not None
        self.assertEqual(client.stdout.readline().strip(), b"attached")
        held = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{client.pid}/fd").iterdir()]
        shared = {m.name.removesuffix(" (deleted)") for m in mappings(client.pid) if "s" in m.protection}
        memfds = {name.removesuffix(" (deleted)") for name in held if "memfd" in name}
        self.assertEqual(shared | memfds, {"/memfd:wasmd-channel"}, held)

    def test_guest_memory_is_left_out_of_dumps(self) -> None:
        self.skip_unless_it_may_be_looked_into()
        self.start_filler()
        maps = mappings(self.daemon.pid)
        for name in ("wasmd-code", "wasmd-channel"):
            ours = [m for m in maps if name in m.name]
            self.assertTrue(ours)
            self.assertEqual([m for m in ours if "dd" not in m.flags], [])
        pattern = filled(65536)
        inside = []
        with open(f"/proc/{self.daemon.pid}/mem", "rb", buffering=0) as memory:
            for m in maps:
                if "r" not in m.protection or m.end - m.begin > 1 << 30 or m.name.startswith("[v"):
                    continue
                memory.seek(m.begin)
                try:
                    if pattern in memory.read(m.end - m.begin):
                        inside.append(m)
                except OSError:
                    pass
        self.assertTrue(inside, "the pattern should be found in the guest's memory")
        self.assertEqual([m for m in inside if "dd" not in m.flags], [])

    def test_a_core_has_no_guest_memory(self) -> None:
        kernel = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
        if "/" in kernel or kernel.startswith("|"):
            self.skipTest(f"******** SKIPPED: cores go to {kernel} ********")
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        if hard != resource.RLIM_INFINITY:
            self.skipTest("******** SKIPPED: no cores may be written ********")
        with tempfile.TemporaryDirectory(prefix="wasmd-core-") as folder:
            daemon = self.start_daemon(
                *self.options,
                cwd=folder,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
            )
            self.start_client("call", self.filler, "fill", daemon=daemon)
            self.wait_until_running(1, daemon)
            daemon.signal(signal.SIGABRT)
            self.assertEqual(daemon.wait(), -signal.SIGABRT)
            cores = list(pathlib.Path(folder).iterdir())
            if self.mode == "strict":
                self.assertEqual(cores, [])
                return
            self.assertEqual(len(cores), 1, cores)
            core = cores[0].read_bytes()
            self.assertTrue(core.startswith(b"\x7fELF"))
            for at in (0, 65536, 262144 - 32):
                self.assertFalse(filled(at) in core, "the core has guest memory")


class SandboxBasic(Confined):
    """Strangers' directories are fine here."""

    def test_directories_of_clients(self) -> None:
        folder = self.folder / "mine"
        folder.mkdir()
        ended = self.ctl("run", "--dir", f"{folder}::/", guest("files"))
        self.assertEqual(ended.code, DONE, ended)


class SandboxOff(Confined):
    mode = "off"
    options = ("--sandbox", "off")


class SandboxStrict(Confined):
    mode = "strict"
    options = ("--sandbox", "strict")

    @classmethod
    def setUpClass(cls) -> None:
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="wasmd-root-"))
        cls.addClassCleanup(lambda: subprocess.run(["rm", "-rf", cls.root], check=True))
        cls.options = ("--sandbox", "strict", "--root", f"data={cls.root}")
        super().setUpClass()

    def has_landlock(self) -> bool:
        in_force = json.loads(self.ctl("info", "-o", "json").stdout)["server"]["sandbox"]["in_force"]
        return any(what.startswith("files beneath") for what in in_force)

    def test_directories_of_clients(self) -> None:
        if not self.has_landlock():
            self.skipTest("******** SKIPPED: the kernel has no Landlock ********")
        stranger = self.folder / "stranger"
        stranger.mkdir()
        self.assert_refused(
            self.ctl("run", "--dir", f"{stranger}::/", guest("files")), "--root", "--sandbox strict", "--sandbox basic"
        )
        self.assertEqual(list(stranger.iterdir()), [])
        beneath = self.root / "beneath"
        beneath.mkdir()
        for way in (("--dir", f"{self.root}::/"), ("--dir", f"{beneath}::/"), ("--root", "data::/")):
            ended = self.ctl("run", *way, guest("files"))
            self.assertEqual(ended.code, DONE, (way, ended))

    def test_scratch_directories(self) -> None:
        """They lie beneath a directory that Landlock has a rule for."""
        for _ in range(2):
            ended = self.ctl("run", "--scratch", "/t=1M", guest("files"), "mkdir", "/t/d", ";", "write", "/t/d/x", "x", ";",
                             "rename", "/t/d/x", "/t/y", ";", "symlink", "y", "/t/z", ";", "read", "/t/z", ";", "list", "/t")  # fmt: skip
            if "this system lets the daemon make no scratch directory" in ended.stderr or "on this system" in ended.stderr:
                self.skipTest(f"******** SKIPPED: {ended.stderr.strip()} ********")
            self.assertEqual(ended.code, DONE, ended)

    def test_sockets_of_clients(self) -> None:
        """Accepting, receiving, sending and shutting down go through the filter of system calls."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            command = ctl_command(self.daemon, "run", "--listen-fd", listener.fileno(), guest("echo_server"), "--", 3, 1)
            with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[listener.fileno()]) as process:
                with socket.create_connection(listener.getsockname(), timeout=WATCHDOG_S) as connection:
                    connection.sendall(b"strictly")
                    connection.shutdown(socket.SHUT_WR)
                    self.assertEqual(b"".join(iter(lambda: connection.recv(100), b"")), b"strictly")
                self.assertEqual(process.communicate(timeout=WATCHDOG_S)[0], b"ready\nechoed 8 bytes\n")

    def test_files_of_clients(self) -> None:
        """What is open already is not judged."""
        text, copy = self.folder / "text", self.folder / "copy"
        text.write_bytes(b"wherever it lies\n")
        with open(copy, "wb") as out:
            process = subprocess.run(
                ctl_command(self.daemon, "run", "--stdin", text, guest("cat")), stdout=out, timeout=WATCHDOG_S
            )
        self.assertEqual((process.returncode, copy.read_bytes()), (DONE, b"wherever it lies\n"))

    def test_the_socket_goes_with_the_daemon(self) -> None:
        daemon = self.start_daemon(*self.options)
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(), 0)
        self.assertEqual(list(daemon.socket_path.parent.iterdir()), [])


class SandboxRefused(E2eTest):
    def test_unknown_mode(self) -> None:
        ended = self.start_wasmd_in_vain("--sandbox", "tight")
        self.assertEqual(ended.code, 2)
        self.assert_one_line(ended.stderr, "wasmd", "--sandbox", "off|basic|strict")


del Confined  # Not a test by itself.

if __name__ == "__main__":
    main()
