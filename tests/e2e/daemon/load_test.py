"""More programs than workers, much data, and the daemon's end."""

from __future__ import annotations

import hashlib
import os
import random
import signal

from harness import (
    DONE,
    FAILURE,
    INTERRUPTED,
    MIB,
    WATCHDOG_S,
    E2eTest,
    guest,
    in_background,
    main,
    note,
    wasmctl,
)


class Busy(E2eTest):
    options = ("--workers", "2", "--max-runs", "16")

    def test_programs_wait_while_calls_go_on(self) -> None:
        waiting = [
            self.start_client("run", *way, guest("cat"))
            for way in ((), ("--no-pass-fds",))
            for _ in range(5)
        ]
        looping = [self.start_client("run", guest("loop_forever")) for _ in range(4)]
        for index, client in enumerate(waiting):
            client.write(f"{index}\n".encode())
            self.assertEqual(client.read_line(), f"{index}\n".encode())
        for client in looping:
            client.read_line()
        self.wait_until_running(len(waiting) + len(looping))
        slowest = 0.0
        for _ in range(20):
            ended = self.ctl("call", self.module, "fib", 20)
            self.assertEqual((ended.code, ended.stdout, ended.stderr), (DONE, b"6765\n", ""))
            slowest = max(slowest, ended.seconds)
        note(f"slowest of 20 calls beside 10 waiting and 4 looping programs: {slowest * 1000:.0f} ms")
        # Nobody was harmed.
        for index, client in enumerate(waiting):
            ended = client.end(b"the end")
            self.assertEqual((ended.code, ended.stdout, ended.stderr), (DONE, b"the end", ""))
        for client in looping:
            client.signal(signal.SIGINT)
        for client in looping:
            ended = client.end()
            self.assertEqual((ended.code, ended.stdout, ended.stderr), (INTERRUPTED, b"", ""))

    def test_long_calls_leave_workers_for_others(self) -> None:
        looping = [self.start_client("call", self.module, "loop") for _ in range(6)]
        self.wait_until_running(6)
        for _ in range(10):
            self.check_call(self.daemon)
        for client in looping:
            client.signal(signal.SIGINT)
        for client in looping:
            self.assertEqual(client.end().code, INTERRUPTED)

    def test_programs_over_the_limit(self) -> None:
        running = [self.start_client("run", guest("cat")) for _ in range(16)]
        self.wait_until_running(16)
        self.assert_refused(self.ctl("run", guest("hello")), "16")
        self.check_call(self.daemon)
        for client in running:
            self.assertEqual(client.end(b"x").stdout, b"x")
        self.wait_until_idle()
        self.assertEqual(self.ctl("run", guest("hello")).stdout, b"hello, world\n")


class Transfer(E2eTest):
    SIZE_BYTES = 200_000_000
    # The daemon itself takes about 20 MiB; nothing here may depend on the size of what is sent.
    BOUND_BYTES = 96 * MIB

    def pass_through(self, *way: str) -> None:
        daemon = self.start_daemon()
        client = self.start_client("run", *way, guest("cat"), daemon=daemon)
        assert client.process.stdin is not None and client.process.stdout is not None
        stdin, stdout = client.process.stdin.fileno(), client.process.stdout.fileno()
        block = random.Random(3).randbytes(MIB)
        sent = hashlib.sha256()

        def send() -> None:
            left = self.SIZE_BYTES
            number = 0
            while left > 0:
                # No two blocks are equal, so that none can be lost or change places unseen.
                data = memoryview(number.to_bytes(8, "little") + block)[: min(left, MIB + 8)]
                sent.update(data)
                left -= len(data)
                number += 1
                while data:
                    data = data[os.write(stdin, data) :]
            client.process.stdin.close()
            client.process.stdin = None

        sender = in_background(send)
        received = hashlib.sha256()
        count = 0
        while data := os.read(stdout, MIB):
            received.update(data)
            count += len(data)
        sender.join(WATCHDOG_S)
        code = client.wait()
        peak = daemon.peak_bytes()
        note(f"200 MB through stdin and back {way}: daemon's VmHWM {peak / MIB:.1f} MiB")
        self.assertEqual((code, count), (DONE, self.SIZE_BYTES))
        self.assertEqual(received.hexdigest(), sent.hexdigest())
        self.assertLess(peak, self.BOUND_BYTES)
        self.check_call(daemon)

    def test_200_megabytes_through_passed_descriptors(self) -> None:
        self.pass_through()

    def test_200_megabytes_through_messages(self) -> None:
        self.pass_through("--no-pass-fds")


class Draining(E2eTest):
    def assert_gone(self, daemon, code: int = 0) -> None:
        self.assertEqual(daemon.wait(), code, daemon.log())
        self.assertFalse(daemon.socket_path.exists(), "it takes its socket with it")

    def test_idle_daemon_ends_at_once(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.start_daemon("--drain-timeout", "1h")
            daemon.signal(number)
            self.assert_gone(daemon)

    def test_running_programs_may_end(self) -> None:
        for way in ((), ("--no-pass-fds",)):
            with self.subTest(way=way):
                daemon = self.start_daemon("--drain-timeout", "1h")
                client = self.start_client("run", *way, guest("cat"), daemon=daemon)
                client.write(b"before\n")
                self.assertEqual(client.read_line(), b"before\n")
                daemon.signal(signal.SIGTERM)

                def refuses() -> bool:
                    ended = wasmctl(daemon, "call", self.module, "fib", 1)
                    if ended.code == DONE:
                        return False
                    self.assert_refused(ended)
                    return True

                self.wait_for("new work is refused", refuses)
                self.assertTrue(daemon.alive())
                client.write(b"after\n")
                self.assertEqual(client.read_line(), b"after\n")
                ended = client.end(b"end\n")
                self.assertEqual((ended.code, ended.stdout, ended.stderr), (DONE, b"end\n", ""))
                self.assert_gone(daemon)

    def test_endless_programs_are_stopped(self) -> None:
        for way in ((), ("--no-pass-fds",)):
            with self.subTest(way=way):
                daemon = self.start_daemon("--drain-timeout", "300ms")
                client = self.start_client("run", *way, guest("loop_forever"), daemon=daemon)
                client.read_line()
                daemon.signal(signal.SIGTERM)
                ended = client.end()
                self.assertEqual(ended.code, FAILURE, ended)
                self.assert_one_line(ended.stderr, "wasmctl", "shutting down")
                self.assert_gone(daemon)

    def test_second_signal_stops_at_once(self) -> None:
        daemon = self.start_daemon("--drain-timeout", "1h")
        client = self.start_client("run", guest("cat"), daemon=daemon)
        client.write(b"x\n")
        client.read_line()
        daemon.signal(signal.SIGTERM)
        self.wait_for(
            "it drains", lambda: wasmctl(daemon, "call", self.module, "fib", 1).code != DONE
        )
        daemon.signal(signal.SIGTERM)
        self.assertEqual(client.wait(), FAILURE)
        self.assert_one_line(client.end().stderr, "wasmctl")
        self.assert_gone(daemon)

    def test_killed_daemon(self) -> None:
        for way in ((), ("--no-pass-fds",)):
            with self.subTest(way=way):
                daemon = self.start_daemon()
                client = self.start_client("run", *way, guest("loop_forever"), daemon=daemon)
                client.read_line()
                daemon.signal(signal.SIGKILL)
                daemon.wait()
                ended = client.end()
                self.assertEqual(ended.code, FAILURE, ended)
                self.assert_one_line(ended.stderr, "wasmctl")


if __name__ == "__main__":
    main()
