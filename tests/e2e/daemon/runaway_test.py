"""Guests that do not end by themselves, and clients that end too early."""

from __future__ import annotations

import array
import fcntl
import signal
import termios
import time

from harness import (
    DEADLINE,
    DONE,
    INTERRUPTED,
    MIB,
    TRAP,
    Client,
    Daemon,
    E2eTest,
    Ended,
    guest,
    main,
    note,
    status_bytes,
)

# Both ways that a program's streams take: passed descriptors, and messages.
WAYS = ((), ("--no-pass-fds",))


class Endless(E2eTest):
    def assert_timed_out(self, ended: Ended) -> None:
        self.assertEqual(ended.code, DEADLINE, ended)
        self.assert_one_line(ended.stderr, "wasmctl")

    def test_loop_meets_timeout(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                ended = self.ctl("run", *way, "--timeout", "500ms", guest("loop_forever"))
                self.assertEqual(ended.stdout, b"looping\n")
                self.assert_timed_out(ended)
                note(f"loop with a timeout of 0.5 s {way}: ended after {ended.seconds:.3f} s")

    def test_sleep_meets_timeout(self) -> None:
        ended = self.ctl("run", "--timeout", "300ms", guest("poll_sleep"), "sleep", 3_600_000)
        self.assert_timed_out(ended)

    def test_waiting_for_stdin_meets_timeout(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                client = self.start_client("run", *way, "--timeout", "300ms", guest("cat"))
                self.assertEqual(client.wait(), DEADLINE)  # Its standard input is still open.
                self.assert_timed_out(client.end())

    def test_call_meets_timeout(self) -> None:
        self.assert_timed_out(self.ctl("call", "--timeout", "300ms", self.module, "loop"))

    def test_loop_is_interrupted(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                client = self.start_client("run", *way, guest("loop_forever"))
                self.assertEqual(client.read_line(), b"looping\n")
                client.signal(signal.SIGINT)
                ended = client.end()
                self.assertEqual((ended.code, ended.stderr), (INTERRUPTED, ""))
                note(f"SIGINT to the end of wasmctl {way}: {ended.seconds * 1000:.1f} ms")

    def test_call_is_interrupted(self) -> None:
        client = self.start_client("call", self.module, "loop")
        self.wait_until_running(1)
        client.signal(signal.SIGINT)
        ended = client.end()
        self.assertEqual((ended.code, ended.stdout, ended.stderr), (INTERRUPTED, b"", ""))

    def assert_overflowed(self, ended: Ended) -> None:
        self.assertEqual(ended.code, TRAP, ended)
        first, *backtrace = ended.stderr.splitlines()
        self.assertRegex(first, r"\Awasmctl: trap: .*stack")
        self.assertGreater(len(backtrace), 0)
        self.assertLess(len(backtrace), 200, "a million frames help nobody")

    def test_endless_recursion(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                ended = self.ctl("run", *way, guest("recurse_forever"))
                self.assertEqual(ended.stdout, b"recursing\n")
                self.assert_overflowed(ended)
        ended = self.ctl("call", self.module, "recurse", 1)
        self.assert_overflowed(ended)
        self.assertIn("recurse", ended.stderr)

    def test_every_trap_leaves_the_daemon_alive(self) -> None:
        kinds = self.ctl("run", guest("trap"), "list").stdout.decode().split()
        self.assertGreater(len(kinds), 10)
        for kind in kinds:
            with self.subTest(kind=kind):
                ended = self.ctl("run", guest("trap"), kind)
                self.assertEqual((ended.code, ended.stdout), (TRAP, f"before {kind}\n".encode()))
                lines = ended.stderr.splitlines()
                self.assertEqual(lines[0], f"before {kind}")
                self.assertRegex(lines[1], r"\Awasmctl: trap: .+")


class Memory(E2eTest):
    options = ("--max-memory", "96MiB")
    # What a daemon needs that has loaded the guests here, compiled, and serves a few clients.
    OWN_BYTES = 96 * MIB

    def assert_out_of_memory(self, ended: Ended) -> None:
        self.assertEqual((ended.code, ended.stdout), (7, b""), ended)
        said, hint = ended.stderr.splitlines()
        self.assertEqual(said, "allocate_forever: no more memory")
        self.assertRegex(hint, r"\Awasmctl: hint: .* limit --max-memory of [0-9]+\Z")

    def test_allocation_is_bounded_by_the_client(self) -> None:
        daemon = self.start_daemon()
        client = Client(daemon, "run", "--max-memory", "64M", guest("allocate_forever"))
        self.addCleanup(client.dispose)
        self.assert_out_of_memory(client.end())
        peak = daemon.peak_bytes()
        note(f"a guest that allocates up to 64 MiB: daemon's VmHWM {peak / MIB:.1f} MiB")
        self.assertLess(peak, 64 * MIB + self.OWN_BYTES)
        self.check_call(daemon)

    def test_allocation_is_bounded_by_the_daemon(self) -> None:
        for way in ((), ("--max-memory", "64G")):
            with self.subTest(way=way):
                self.assert_out_of_memory(self.ctl("run", *way, guest("allocate_forever")))
        peak = self.daemon.peak_bytes()
        note(f"guests that allocate up to 96 MiB: daemon's VmHWM {peak / MIB:.1f} MiB")
        self.assertLess(peak, 96 * MIB + self.OWN_BYTES)

    def test_growing_call_is_bounded(self) -> None:
        ended = self.ctl("call", self.module, "grow")
        self.assertEqual((ended.code, ended.stderr), (DONE, ""))
        self.assertLessEqual(int(ended.stdout), 96 * 16)

    def test_memory_goes_back(self) -> None:
        daemon = self.start_daemon()
        for _ in range(5):
            client = Client(daemon, "run", guest("allocate_forever"), 200)
            self.addCleanup(client.dispose)
            ended = client.end()
            self.assertEqual((ended.code, ended.stdout), (DONE, b"allocated 200 MiB\n"))
        self.wait_until_idle(daemon)
        self.wait_for(
            "the memory of programs that ended is free",
            lambda: status_bytes(daemon.pid, "VmRSS") < self.OWN_BYTES,
        )
        self.assertLess(daemon.peak_bytes(), 2 * 200 * MIB)


class KilledClient(E2eTest):
    """wasmctl is killed with -9: what it ran is cancelled and freed."""

    def kill_and_measure(self, client: Client, what: str) -> None:
        self.wait_until_running(1)
        memory = self.stats()["activities"][0]["memory_bytes"]
        client.signal(signal.SIGKILL)
        client.wait()
        start = time.monotonic()
        self.wait_until_idle()
        seconds = time.monotonic() - start
        note(f"client killed, {what} ({memory} bytes): gone after {seconds * 1000:.0f} ms")
        self.check_call(self.daemon)

    def test_looping(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                client = self.start_client("run", *way, guest("loop_forever"))
                client.read_line()
                self.kill_and_measure(client, f"looping guest {way}")

    def test_looping_call(self) -> None:
        self.kill_and_measure(self.start_client("call", self.module, "loop"), "looping call")

    def test_waiting_for_stdin(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                client = self.start_client("run", *way, guest("cat"))
                client.write(b"a line\n")
                client.read_line()
                # The other end of its standard input stays open, here.
                self.kill_and_measure(client, f"guest waiting for stdin {way}")

    def test_sleeping(self) -> None:
        for what in ("sleep", "stdin"):
            with self.subTest(what=what):
                client = self.start_client("run", guest("poll_sleep"), what, 3_600_000)
                self.kill_and_measure(client, f"guest in poll_oneoff ({what})")

    def test_stopped_in_the_middle_of_output(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                client = self.start_client("run", *way, guest("write_forever"))
                wait_until_full(self, client)
                self.kill_and_measure(client, f"guest with full stdout {way}")

    def test_many_at_once(self) -> None:
        clients = [self.start_client("run", guest("loop_forever")) for _ in range(8)]
        for client in clients:
            client.read_line()
        self.wait_until_running(8)
        for client in clients:
            client.signal(signal.SIGKILL)
        for client in clients:
            client.wait()
        seconds = self.wait_until_idle()
        note(f"8 clients killed, looping guests: all gone after {seconds * 1000:.0f} ms")


def unread_bytes(client: Client) -> int:
    count = array.array("i", [0])
    assert client.process.stdout is not None
    fcntl.ioctl(client.process.stdout, termios.FIONREAD, count)
    return count[0]


def wait_until_full(test: E2eTest, client: Client) -> None:
    assert client.process.stdout is not None
    size = fcntl.fcntl(client.process.stdout, fcntl.F_GETPIPE_SZ)
    test.wait_for("the pipe is full", lambda: unread_bytes(client) >= size - 4096)


class UnreadOutput(E2eTest):
    """Gigabytes for a reader who does not read: the guest is held, nothing is heaped up."""

    # Buffers of gRPC and the kernel, and what any run takes.
    BOUND_BYTES = 64 * MIB
    # At the speed of memory a guest writes gigabytes in it.
    OBSERVED_S = 2.0

    def observe(self, daemon: Daemon, client: Client, what: str) -> None:
        wait_until_full(self, client)
        end = time.monotonic() + self.OBSERVED_S
        while time.monotonic() < end:
            self.check_call(daemon)
        daemon_peak = daemon.peak_bytes()
        client_peak = status_bytes(client.pid, "VmHWM")
        note(
            f"endless output, nobody reads ({what}): VmHWM of wasmd {daemon_peak / MIB:.1f} MiB, "
            f"of wasmctl {client_peak / MIB:.1f} MiB"
        )
        self.assertLess(daemon_peak, self.BOUND_BYTES)
        self.assertLess(client_peak, self.BOUND_BYTES)
        self.wait_until_running(1, daemon)

    def test_output_that_nobody_reads(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                daemon = self.start_daemon()
                client = self.start_client("run", *way, guest("write_forever"), daemon=daemon)
                self.observe(daemon, client, f"stdout {way}")
                client.signal(signal.SIGKILL)
                client.wait()
                self.wait_until_idle(daemon)
                self.check_call(daemon)

    def test_client_that_is_stopped(self) -> None:
        """Nobody takes messages from the connection either."""
        daemon = self.start_daemon()
        client = self.start_client("run", "--no-pass-fds", guest("write_forever"), daemon=daemon)
        wait_until_full(self, client)
        client.signal(signal.SIGSTOP)
        self.observe(daemon, client, "client stopped")
        client.signal(signal.SIGKILL)
        client.wait()
        self.wait_until_idle(daemon)
        self.check_call(daemon)

    def test_interrupt_with_unread_output(self) -> None:
        for way in WAYS:
            with self.subTest(way=way):
                client = self.start_client("run", *way, guest("write_forever"))
                wait_until_full(self, client)
                client.signal(signal.SIGINT)
                self.assertEqual(client.wait(), INTERRUPTED)

    def test_reader_who_leaves(self) -> None:
        """`wasmctl run … | head`: ends as a pipeline does, without a word."""
        for way in WAYS:
            with self.subTest(way=way):
                client = self.start_client("run", *way, guest("write_forever"))
                assert client.process.stdout is not None
                self.assertEqual(client.process.stdout.read(16), b"0123456789abcdef")
                client.process.stdout.close()
                client.process.stdout = None
                code = client.wait()
                note(f"reader leaves {way}: exit code {code}")
                self.assertNotEqual(code, DONE)


if __name__ == "__main__":
    main()
