"""wasmctl run: streams, arguments, environment, directories, exit codes and signals, over every way that they can travel."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest

from common import (
    DEADLINE,
    DONE,
    ECHO_ARGS,
    FAILURE,
    FIB,
    INTERRUPTED,
    SAY_READY_AND_LOOP,
    TERMINATED,
    TRAP,
    Daemon,
    E2eTest,
    assemble,
    bin_dir,
    ctl_command,
    environment,
    guest,
    main,
    run_on_terminal,
    run_process,
    wasmctl,
    wasmctl_command,
)


class Run(E2eTest):
    """Descriptors are passed."""

    way: tuple[str, ...] = ()

    def run_guest(self, program: object, *words: object, options: tuple[object, ...] = (), **popen: object):
        stdin = popen.pop("stdin_bytes", b"")
        return run_process(ctl_command(self.where(), "run", *self.way, *options, program, *words), stdin, **popen)

    def where(self) -> str:
        return self.daemon.address

    def test_output_and_exit_code(self) -> None:
        for code in (0, 1, 7, 124, 125, 255):
            ended = self.run_guest(guest("exit_code"), code, "to stderr")
            self.assertEqual((ended.code, ended.stdout, ended.stderr), (code, b"leaving\n", "to stderr\n"))
        # Of more than 8 bits a parent sees the lowest, as of any process.
        self.assertEqual(self.run_guest(guest("exit_code"), 256 + 3).code, 3)
        self.assertEqual(self.run_guest(guest("exit_code"), "return", 9).code, 9)

    def test_standard_input(self) -> None:
        for size in (0, 1, 65_537, 3_000_000):
            data = os.urandom(size)
            ended = self.run_guest(guest("cat"), stdin_bytes=data)
            self.assertEqual((ended.code, ended.stderr), (DONE, ""))
            self.assertEqual(hashlib.sha256(ended.stdout).digest(), hashlib.sha256(data).digest())

    def test_input_and_output_files(self) -> None:
        data = os.urandom(500_000)
        (self.folder / "in").write_bytes(data)
        command = ctl_command(self.where(), "run", *self.way, guest("cat"))
        with open(self.folder / "in", "rb") as source, open(self.folder / "out", "wb") as target:
            target.write(b"kept ")
            target.flush()
            subprocess.run(command, stdin=source, stdout=target, check=True, timeout=60)
        self.assertEqual((self.folder / "out").read_bytes(), b"kept " + data)
        with open(self.folder / "in", "rb") as source, open(self.folder / "out", "ab") as target:
            subprocess.run(command, stdin=source, stdout=target, check=True, timeout=60)
        self.assertEqual((self.folder / "out").read_bytes(), b"kept " + data + data)
        ended = self.run_guest(guest("cat"), options=("--stdin", self.folder / "in"), stdin_bytes=b"not this")
        self.assertEqual(ended.stdout, data)
        ended = self.run_guest(guest("cat"), options=("--stdin", self.folder / "absent"))
        self.assert_refused(ended, "--stdin", "absent", "No such file")

    def test_closed_standard_streams(self) -> None:
        command = " ".join(map(str, ctl_command(self.where(), "run", *self.way, guest("cat"))))
        for closing in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            ended = run_process(["sh", "-c", f"{command} {closing}"])
            self.assertEqual((ended.code, ended.stdout, ended.stderr), (DONE, b"", ""), closing)

    def test_argv0_is_the_base_name(self) -> None:
        # Bytes of its own: a module that is there already keeps its name.
        program = assemble(ECHO_ARGS.replace("(memory", "(global i32 (i32.const 1)) (memory"), self.folder / "echo_args.wasm")
        self.assertEqual(self.run_guest(program).stdout, b"echo_args.wasm\0")
        self.assertEqual(self.run_guest("./echo_args.wasm", cwd=self.folder).stdout, b"echo_args.wasm\0")
        self.assertEqual(self.run_guest(program, options=("--argv0", "me")).stdout, b"me\0")
        link = self.folder / "link"
        link.unlink(missing_ok=True)
        link.symlink_to("echo_args.wasm")
        self.assertEqual(self.run_guest(link).stdout, b"link\0")
        # By digest, it has the name that it was loaded with.
        loaded = self.ctl("module load", program).stdout.split()[0].decode()
        self.assertEqual(self.run_guest(loaded).stdout, b"echo_args.wasm\0")

    def test_arguments(self) -> None:
        program = assemble(ECHO_ARGS, self.folder / "a.wasm")
        for given, seen in (
            (["x", "y z", ""], ["x", "y z", ""]),
            (["--", "--dir", "-h", "--"], ["--dir", "-h", "--"]),
            (["--help", "-o", "json"], ["--help", "-o", "json"]),
            (["x", "--", "y"], ["x", "--", "y"]),
            (["ü", "日本"], ["ü", "日本"]),
        ):
            ended = self.run_guest(program, *given)
            self.assertEqual(ended.stdout.split(b"\0")[1:-1], [word.encode() for word in seen])
        raw = run_process([os.fsencode(word) for word in ctl_command(self.where(), "run", *self.way, program)] + [b"\xff\xfe"])
        self.assertEqual(raw.stdout, b"a.wasm\0\xff\xfe\0")

    def test_environment_is_what_is_named(self) -> None:
        ended = self.run_guest(
            guest("args_env"),
            options=("--env", "K=V=W", "-e", "EMPTY=", "--env", "FROM_HERE"),
            env=environment(FROM_HERE="here", SECRET="not passed"),
        )
        lines = [line for line in ended.stdout.splitlines() if line.startswith(b"env")]
        self.assertEqual(lines, [b"env [5] K=V=W", b"env [6] EMPTY=", b"env [14] FROM_HERE=here"])
        self.assert_refused(self.run_guest(guest("hello"), options=("--env", "NOT_SET_ANYWHERE")), "NOT_SET_ANYWHERE")

    def test_traps(self) -> None:
        ended = self.run_guest(guest("trap"), "unreachable")
        self.assertEqual(ended.code, TRAP)
        said, first, *frames = ended.stderr.splitlines()
        self.assertEqual(said, "before unreachable")
        self.assertTrue(first.startswith("wasmctl: trap: "), ended.stderr)
        self.assertTrue(any("_start" in frame for frame in frames), ended.stderr)

    def test_time_limit(self) -> None:
        ended = self.run_guest(guest("loop_forever"), options=("--timeout", "200ms"))
        self.assertEqual(ended.code, DEADLINE)
        self.assert_one_line(ended.stderr, "wasmctl", "loop_forever.wasm", "200ms")

    def test_signals(self) -> None:
        for number, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED), (signal.SIGHUP, 129)):
            client = self.start_client("run", *self.way, guest("loop_forever"))
            self.wait_until_running(1)
            client.signal(number)
            ended = client.end()
            self.assertEqual((ended.code, ended.stderr), (code, ""))

    def test_json_about_the_run(self) -> None:
        ended = self.run_guest(guest("exit_code"), 7, options=("-o", "json"))
        self.assertEqual(ended.stdout, b"leaving\n")
        about = json.loads(ended.stderr)
        self.assertEqual(about["exit_code"], 7)
        self.assertGreater(about["peak_memory_bytes"], 0)
        self.assertGreater(about["duration_ns"], 0)
        ended = self.run_guest(guest("trap"), "unreachable", options=("-o", "json"))
        self.assertEqual(ended.code, TRAP)
        self.assertEqual(json.loads(ended.stderr.splitlines()[-1])["trap"]["code"], "unreachable")

    def test_memory_limit(self) -> None:
        ended = self.run_guest(guest("allocate_forever"), options=("--max-memory", "16M"))
        self.assertEqual(ended.code, 7)
        self.assertEqual(self.run_guest(guest("allocate_forever"), 4, options=("--max-memory", "16M")).code, DONE)

    def test_fuel(self) -> None:
        def left(fuel: int) -> int:
            ended = self.run_guest(guest("exit_code"), 7, options=("-o", "json", "--fuel", str(fuel)))
            self.assertEqual(ended.code, 7)
            return json.loads(ended.stderr)["fuel_left"]

        used = 10**9 - left(10**9)
        self.assertGreater(used, 0)
        # The same on each run, exactly enough, and one too little.
        self.assertEqual(left(10**9), 10**9 - used)
        self.assertEqual(left(used), 0)
        ended = self.run_guest(guest("exit_code"), 7, options=("--fuel", str(used - 1)))
        self.assertEqual(ended.code, TRAP)
        self.assertIn("out of fuel", ended.stderr)

    def test_pipelines_end_quietly(self) -> None:
        command = " ".join(map(str, ctl_command(self.where(), "run", *self.way, guest("write_forever"))))
        ended = run_process(["bash", "-c", f"{command} | head -c 100000 | wc -c; echo ${{PIPESTATUS[0]}} >&2"])
        self.assertEqual(ended.stdout.strip(), b"100000")
        self.assertNotIn("wasmctl:", ended.stderr)

    def test_a_program_from_a_pipe(self) -> None:
        command = " ".join(map(str, ctl_command(self.where(), "run", *self.way)))
        ended = run_process(["bash", "-c", f"{command} <(cat {guest('exit_code')}) 5"])
        self.assertEqual((ended.code, ended.stdout), (5, b"leaving\n"))


class RunWithoutPassing(Run):
    """Everything travels in messages, on a unix socket."""

    way = ("--no-pass-fds",)

    def test_directories_cannot_be_passed(self) -> None:
        self.assert_refused(self.run_guest(guest("hello"), options=("--dir", "/tmp::/")), "no directory can be passed")

    def test_sockets_cannot_be_passed(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ended = self.run_guest(guest("hello"), options=("--listen-fd", theirs.fileno()), pass_fds=[theirs.fileno()])
        self.assert_refused(ended, "no socket can be passed")


class RunOverTcp(Run):
    @classmethod
    def setUpClass(cls) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            cls.port = probe.getsockname()[1]
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix="wasmd-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        cls.options = ("--listen", f"tcp:127.0.0.1:{cls.port}", "--root", f"shared={cls.shared}")
        super().setUpClass()

    def where(self) -> str:
        return f"127.0.0.1:{self.port}"

    def test_directories_are_roots(self) -> None:
        self.assert_refused(
            self.run_guest(guest("hello"), options=("--dir", "/tmp::/")), "no directory can be passed", "roots shared"
        )
        (self.shared / "in").write_text("from the root")
        ended = self.run_guest(guest("files"), "read", "/r/in", options=("--root", "shared::/r"))
        self.assertEqual(ended.code, DONE, ended)
        self.assertIn(b"from the root", ended.stdout)
        ended = self.run_guest(guest("files"), "write", "/r/out", "x", options=("--root", "shared::/r:ro"))
        self.assertEqual(ended.code, 1, ended)
        self.assertFalse((self.shared / "out").exists())
        self.assert_refused(self.run_guest(guest("hello"), options=("--root", "absent::/r")), "absent")


class Directories(E2eTest):
    def setUp(self) -> None:
        super().setUp()
        self.data = self.folder / "data"
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir()
        (self.data / "in").write_text("content")

    def files(self, spec: str, *words: str, **popen: object):
        return run_process(ctl_command(self.daemon, "run", "--dir", spec, guest("files"), *words), **popen)

    def test_reads_and_writes(self) -> None:
        ended = self.files(f"{self.data}::/", "read", "/in", ";", "write", "/out", "new", ";", "list", "/")
        self.assertEqual(ended.code, DONE, ended)
        self.assertIn(b"content", ended.stdout)
        self.assertEqual((self.data / "out").read_text(), "new")

    def test_relative_paths_are_the_clients(self) -> None:
        self.assertEqual(self.files("data::/d", "read", "/d/in", cwd=self.folder).code, DONE)
        self.assertEqual(self.files("data", "read", "data/in", cwd=self.folder).code, DONE)
        self.assertEqual(self.files(".", "read", "in", cwd=self.data).code, DONE)

    def test_read_only(self) -> None:
        ended = self.files(f"{self.data}::/:ro", "read", "/in", ";", "write", "/out", "new")
        self.assertEqual(ended.code, 1, ended)
        self.assertFalse((self.data / "out").exists())

    def test_several(self) -> None:
        other = self.folder / "other"
        other.mkdir(exist_ok=True)
        ended = run_process(
            ctl_command(self.daemon, "run", "--dir", f"{self.data}::/a", "--dir", f"{other}::/b", guest("files"),
                        "read", "/a/in", ";", "write", "/b/out", "new")
        )
        self.assertEqual(ended.code, DONE, ended)
        self.assertEqual((other / "out").read_text(), "new")

    def test_nothing_outside_is_seen(self) -> None:
        (self.folder / "outside").write_text("secret")
        (self.data / "link").symlink_to("../outside")
        for path in ("/../outside", "/link", "/in/../../outside"):
            ended = self.files(f"{self.data}::/", "read", path)
            self.assertEqual(ended.code, 1, ended)
            self.assertNotIn(b"secret", ended.stdout)

    def test_one_that_vanishes_or_is_replaced(self) -> None:
        for replace in (False, True):
            (self.data / "sub").mkdir(exist_ok=True)
            (self.folder / "elsewhere").mkdir(exist_ok=True)
            client = self.start_client("run", "--dir", f"{self.data}::/", guest("files"), "wait", ";", "write", "/new", "x", ";",
                                       "list", "/", ";", "read", "/in")  # fmt: skip
            self.assertEqual(client.read_line(), b"waiting\n")
            shutil.rmtree(self.data)
            if replace:
                self.data.symlink_to("elsewhere")
            ended = client.end(b"\n")
            self.assertEqual(ended.code, 2 if b"list /: ok" in ended.stdout else 3, ended)
            self.assertIn(b"open /new: error 44", ended.stdout)
            self.assertIn(b"open /in: error 44", ended.stdout)
            self.assertEqual(os.listdir(self.folder / "elsewhere"), [])
            if replace:
                self.data.unlink()
            self.data.mkdir()

    def test_the_daemons_own_descriptors_run_out(self) -> None:
        soft, hard = resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE)
        in_use = len(os.listdir(f"/proc/{self.daemon.pid}/fd"))
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (in_use + 40, hard))
        try:
            ended = self.files(f"{self.data}::/", "open_many", "/in", "900", ";", "read", "/in")
        finally:
            resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(ended.code, DONE, ended)
        opened = int(ended.stdout.split()[1])
        self.assertTrue(5 < opened < 60, ended)
        self.assertIn(b"content", ended.stdout)

    def test_what_is_no_directory(self) -> None:
        self.assert_refused(self.files(f"{self.folder}/absent::/"), "--dir", "absent", "No such file")
        self.assert_refused(self.files(f"{self.data}/in::/"), "--dir", "Not a directory")
        self.assert_refused(self.files("::/"), "HOST::GUEST")

    @unittest.skipIf(os.geteuid() == 0 and not shutil.which("setpriv"), "root may read everything")
    def test_a_directory_that_we_may_not_read(self) -> None:
        # What the daemon may is of no use to a client: it cannot open the directory.
        secret = self.folder / "secret"
        secret.mkdir(exist_ok=True)
        secret.chmod(0)
        command = ctl_command(self.daemon, "run", "--dir", f"{secret}::/", guest("hello"))
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        self.assert_refused(run_process(command), "Permission denied")


class Scratch(E2eTest):
    options = ("--max-scratch", "8M")

    def setUp(self) -> None:
        super().setUp()
        probe = self.files(["/t"], "list", "/t")
        if "this system lets the daemon make no scratch directory" in probe.stderr or "--sandbox strict" in probe.stderr:
            self.skipTest(f"******** SKIPPED: {probe.stderr.strip()} ********")

    def files(self, scratches: list[str], *words: str, program: str = "files"):
        options = [word for scratch in scratches for word in ("--scratch", scratch)]
        return run_process(ctl_command(self.daemon, "run", *options, guest(program), *words))

    def test_files_go_with_the_run(self) -> None:
        ended = self.files(["/t"], "write", "/t/a", "content", ";", "mkdir", "/t/d", ";", "rename", "/t/a", "/t/d/b", ";", "read", "/t/d/b")
        self.assertEqual(ended.code, DONE, ended)
        self.assertIn(b"content", ended.stdout)
        ended = self.files(["/t"], "read", "/t/d/b")
        self.assertEqual(ended.code, 1, "another run's is another one")

    def test_several_beside_a_directory(self) -> None:
        ended = self.files(["/a=1M", "/b=1M"], "write", "/a/x", "1", ";", "write", "/b/y", "2", ";", "read", "/a/x", ";", "read", "/b/x")
        self.assertEqual(ended.code, 1, ended)
        self.assertIn(b"open /b/x: error 44", ended.stdout)
        ended = run_process(
            ctl_command(self.daemon, "run", "--scratch", "/t", "--dir", f"{self.folder}::/d", guest("files"),
                        "write", "/d/x", "1", ";", "rename", "/d/x", "/t/x", ";", "link", "/d/x", "/t/x", ";", "write", "/t/y", "2")
        )
        self.assertEqual(ended.code, 2, ended)
        # Two file systems: EXDEV.
        self.assertEqual(ended.stdout.count(b"error 75"), 2, ended)

    def test_is_bounded(self) -> None:
        self.assertEqual(self.files(["/t=1M"], "fill", "/t/f", str(1 << 20)).code, DONE)
        ended = self.files(["/t=1M"], "fill", "/t/f", str((1 << 20) + 1))
        self.assertEqual(ended.code, 1, ended)
        self.assertIn(b"No space left on device", ended.stdout + ended.stderr.encode())
        ended = self.files(["/t=1M"], *" ; ".join(f"mkdir /t/{i}" for i in range(65)).split())
        self.assertEqual(ended.code, 1, "one name more than there may be")
        self.assertEqual((ended.stdout + ended.stderr.encode()).count(b"No space left on device"), 1)

    def test_limit_of_the_daemon(self) -> None:
        for scratches in (["/t=9M"], ["/a=5M", "/b=4M"], ["/a", "/b"]):
            self.assert_refused(self.files(scratches, "list", "/t"), "8 MiB", "--max-scratch")
        self.assertEqual(self.files(["/a=4M", "/b=4M"], "list", "/a").code, DONE)
        self.assertEqual(self.files(["/a=4M", "/b"], "list", "/b").code, DONE, "the second has the rest")
        info = json.loads(wasmctl(self.daemon, "info", "-o", "json").stdout)
        self.assertEqual(info["session"]["limits"]["max_scratch_bytes"], 8 << 20)
        self.assert_refused(self.files(["/t=x"], "list", "/t"), "not a size")
        self.assert_refused(self.files(["=4M"], "list", "/t"), "not a scratch directory")

    def test_over_any_connection(self) -> None:
        ended = run_process(ctl_command(self.daemon, "run", "--no-pass-fds", "--scratch", "/t", guest("files"), "write", "/t/a", "x"))
        self.assertEqual(ended.code, DONE, ended)

    def test_the_process_that_makes_them_ends_with_the_daemon(self) -> None:
        for end in (signal.SIGTERM, signal.SIGKILL):
            daemon = self.start_daemon()
            children = pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
            self.assertEqual([pathlib.Path(f"/proc/{child}/comm").read_text() for child in children], ["wasmd-scratch\n"])
            maker = os.pidfd_open(int(children[0]))
            self.addCleanup(os.close, maker)
            daemon.signal(end)
            daemon.wait()
            self.assertEqual(select.select([maker], [], [], 60)[0], [maker], "it is still there")
        daemon = self.start_daemon("--max-scratch", "0")
        self.assertEqual(pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(), "")
        self.assert_refused(wasmctl(daemon, "run", "--scratch", "/t", guest("hello")), "--max-scratch")

    def test_nothing_is_left_behind(self) -> None:
        def shared_kb() -> int:
            return sum(int(line.split()[1]) for line in pathlib.Path("/proc/meminfo").read_text().splitlines() if line.startswith("Shmem:"))

        before = shared_kb()
        for _ in range(40):
            self.assertEqual(self.files(["/t"], "fill", "/t/f", str(8 << 20)).code, DONE)
        # 320 MB went through; others may use some meanwhile.
        self.assertLess(shared_kb() - before, 160 * 1024)


class Sockets(E2eTest):
    def setUp(self) -> None:
        super().setUp()
        self.listener = self.enterContext(socket.create_server(("127.0.0.1", 0)))

    def echo(self, *words: object, options: tuple[object, ...] = (), sockets: tuple[socket.socket, ...] = ()) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ctl_command(self.daemon, "run", *options, guest("echo_server"), "--", *words),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[s.fileno() for s in sockets],
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def say(self, connection: socket.socket, data: bytes) -> bytes:
        """Sends it, and then that there is no more; everything that comes back."""
        connection.settimeout(60)
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        back = b""
        while part := connection.recv(1 << 16):
            back += part
        sender.join()
        return back

    def ended(self, process: subprocess.Popen[bytes], code: int = DONE) -> tuple[bytes, str]:
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, (out, err))
        return out, err.decode()

    def test_a_listening_socket(self) -> None:
        process = self.echo(3, 2, options=("--listen-fd", self.listener.fileno()), sockets=(self.listener,))
        big = os.urandom(3_000_000)
        for data in (b"hello", big):
            with socket.create_connection(self.listener.getsockname()) as connection:
                self.assertTrue(self.say(connection, data) == data)
        self.assertEqual(self.ended(process)[0], b"ready\nechoed 5 bytes\nechoed 3000000 bytes\n")

    def test_tcplisten_says_where_if_any_port_will_do(self) -> None:
        for host in ("127.0.0.1", "localhost", "[::1]"):
            if host == "[::1]" and not socket.has_dualstack_ipv6():
                continue
            process = self.echo(3, 1, options=("--tcplisten", f"{host}:0"))
            line = process.stderr.readline().decode()
            self.assertRegex(line, r"^wasmctl: listening on (127\.0\.0\.1|\[::1\]):\d+$")
            where, _, port = line.split()[-1].rpartition(":")
            with socket.create_connection((where.strip("[]"), int(port))) as connection:
                self.assertEqual(self.say(connection, b"by TCP"), b"by TCP")
            self.assertEqual(self.ended(process)[0], b"ready\nechoed 6 bytes\n")

    def test_a_connected_socket_behind_directories_and_others(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            sockets = ("--listen-fd", self.listener.fileno(), "--listen-fd", theirs.fileno())
            process = self.echo(5, options=("--dir", f"{self.folder}::/", *sockets), sockets=(self.listener, theirs))
            theirs.close()
            self.assertEqual(self.say(ours, b"pair"), b"pair")
            self.assertEqual(self.ended(process)[0], b"ready\nechoed 4 bytes\n")

    def test_a_program_without_it(self) -> None:
        ended = wasmctl(self.daemon, "run", guest("echo_server"), "--", 3, 1)
        self.assertEqual((ended.code, ended.stdout), (1, b"ready\nfcntl: Bad file descriptor\n"))
        ended = wasmctl(self.daemon, "run", guest("echo_server"), "--", 0)
        self.assertEqual((ended.code, ended.stdout), (1, b"ready\nrecv: Not a socket\n"))

    def test_what_waits_is_stopped(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            for sock, words in ((self.listener, (3, 1)), (theirs, (3,))):
                given = ("--listen-fd", sock.fileno())
                self.ended(self.echo(*words, options=("--timeout", "200ms", *given), sockets=(sock,)), DEADLINE)
                process = self.echo(*words, options=given, sockets=(sock,))
                self.assertEqual(process.stdout.readline(), b"ready\n")
                process.send_signal(signal.SIGINT)
                self.ended(process, INTERRUPTED)
        self.assertEqual(wasmctl(self.daemon, "run", guest("hello")).code, DONE)

    def test_several_accept_from_one_socket(self) -> None:
        # Each caller wakes them all; those that come late wait in the system's accept, and are stopped there too.
        given = ("--listen-fd", self.listener.fileno())
        servers = [self.echo(3, 1000, options=given, sockets=(self.listener,)) for _ in range(4)]
        for server in servers:
            self.assertEqual(server.stdout.readline(), b"ready\n")
        for number in range(40):
            with socket.create_connection(self.listener.getsockname()) as connection:
                self.assertEqual(self.say(connection, b"%d" % number), b"%d" % number)
        for server in servers:
            server.send_signal(signal.SIGINT)
        served = sum(self.ended(server, INTERRUPTED)[0].count(b"echoed") for server in servers)
        self.assertEqual(served, 40)

    def test_what_is_refused(self) -> None:
        def refused(*options: object) -> None:
            self.assert_refused(wasmctl(self.daemon, "run", *options[:-1], guest("hello")), str(options[-1]))

        refused("--listen-fd", 99, "Bad file descriptor")
        refused("--listen-fd", 0, "Socket operation on non-socket")
        refused("--listen-fd", "x", "not a descriptor")
        refused("--tcplisten", "nowhere", "not an address to listen on")
        refused("--tcplisten", "127.0.0.1:{}".format(self.listener.getsockname()[1]), "Address already in use")
        refused("--tcplisten", "192.0.2.1:0", "Cannot assign requested address")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            ended = wasmctl(self.daemon, "run", "--listen-fd", datagrams.fileno(), guest("hello"), pass_fds=[datagrams.fileno()])
            self.assert_refused(ended, "not a stream socket")


class Terminal(E2eTest):
    def test_ctrl_c_cancels(self) -> None:
        code, output = run_on_terminal(
            ctl_command(self.daemon, "run", assemble(SAY_READY_AND_LOOP, self.folder / "ready.wasm")), until=b"ready", keys=b"\x03"
        )
        self.assertEqual(code, INTERRUPTED, output)

    def test_a_program_talks_to_the_terminal(self) -> None:
        code, output = run_on_terminal(ctl_command(self.daemon, "run", guest("cat")), keys=b"line\n\x04")
        self.assertEqual(code, DONE, output)
        # Once echoed by the terminal, once written by the program.
        self.assertEqual(output.count(b"line"), 2, output)

    def test_no_progress_for_what_is_quick(self) -> None:
        code, output = run_on_terminal(ctl_command(self.daemon, "run", guest("hello")))
        self.assertEqual(code, DONE)
        self.assertNotIn(b"\x1b", output)

    def test_top_refreshes_until_interrupted(self) -> None:
        command = ctl_command(self.daemon, "top", "--interval", "50ms")
        code, output = run_on_terminal(command, until=b"\x1b[H", keys=b"\x03")
        self.assertEqual(code, DONE)
        self.assertIn(b"wasmd ", output)
        code, output = run_on_terminal(ctl_command(self.daemon, "top", "-n", "3", "-d", "10ms"))
        self.assertEqual(code, DONE)
        self.assertEqual(output.count(b"\x1b[H"), 3)


class Spawn(unittest.TestCase):
    """A private daemon, which ends with the command."""

    def setUp(self) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wasmd-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.environment = environment(XDG_RUNTIME_DIR=str(self.folder))

    def daemons(self) -> list[str]:
        """Names of the processes of daemons whose socket is in our folder."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().split(b"\0")
                name = (entry.parent / "comm").read_text().strip()
            except OSError:
                continue
            if any(str(self.folder).encode() in word for word in words) and words[0].endswith(b"wasmd"):
                found.append(name)
        return found

    def check_gone(self) -> None:
        import time

        end = time.monotonic() + 30
        while self.daemons():
            self.assertLess(time.monotonic(), end, self.daemons())
            time.sleep(0.01)

    def test_runs_and_ends(self) -> None:
        ended = run_process(wasmctl_command("run", "--spawn", guest("exit_code"), 7), env=self.environment)
        self.assertEqual((ended.code, ended.stdout, ended.stderr), (7, b"leaving\n", ""))
        self.assertEqual(self.daemons(), [])
        self.assertEqual(list(self.folder.iterdir()), [], "files are left")
        module = assemble(FIB, self.folder / "fib.wasm")
        ended = run_process(wasmctl_command("call", "--spawn", module, "fib", 10), env=self.environment)
        self.assertEqual((ended.code, ended.stdout), (DONE, b"55\n"))

    def test_ends_when_interrupted_or_killed(self) -> None:
        for number, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGKILL, -signal.SIGKILL)):
            process = subprocess.Popen(
                wasmctl_command("run", "--spawn", guest("write_forever")), env=self.environment, stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            os.read(process.stdout.fileno(), 1)  # It runs.
            self.assertEqual(sorted(self.daemons()), ["wasmd", "wasmd-scratch"])
            process.send_signal(number)
            process.stdout.close()
            self.assertEqual(process.wait(60), code)
            self.check_gone()

    def test_says_why_it_cannot(self) -> None:
        alone = self.folder / "bin"
        alone.mkdir()
        shutil.copy(bin_dir() / "wasmctl", alone / "wasmctl")
        command = [str(alone / "wasmctl"), "health", "--spawn"]
        ended = run_process(command, env=environment(PATH="/nonexistent"))
        self.assertEqual((ended.code, ended.stderr), (FAILURE, "wasmctl: --spawn: there is no wasmd beside wasmctl or in PATH\n"))
        # One from PATH, that ends at once.
        broken = alone / "path"
        broken.mkdir()
        (broken / "wasmd").write_text("#!/bin/sh\necho one >&2\necho the reason >&2\nexit 1\n")
        (broken / "wasmd").chmod(0o755)
        ended = run_process(command, env=environment(PATH=f"{broken}:/usr/bin:/bin"))
        self.assertEqual((ended.code, ended.stderr), (FAILURE, "wasmctl: --spawn: wasmd ended at once: the reason\n"))

    def test_default_addresses(self) -> None:
        daemon = Daemon(socket_path=self.folder / "wasmd.sock")
        self.addCleanup(daemon.kill)
        self.assertEqual(run_process(wasmctl_command("health"), env=self.environment).stdout, b"serving\n")
        by_variable = environment(WASMD_ADDR=daemon.address)
        self.assertEqual(run_process(wasmctl_command("health"), env=by_variable).stdout, b"serving\n")
        wrong = environment(WASMD_ADDR="unix:/nonexistent/s")
        self.assertEqual(run_process(wasmctl_command("health", "-a", daemon.address), env=wrong).stdout, b"serving\n")
        ended = run_process(wasmctl_command("health"), env=wrong)
        self.assertEqual(ended.code, FAILURE)
        self.assertRegex(ended.stderr, r"\Awasmctl: no wasmd at unix:/nonexistent/s: [^\n]*wasmd --listen[^\n]*--spawn\n\Z")


if __name__ == "__main__":
    main()
