"""Sockets that are taken, stale, forbidden or something else, and connections that say nothing or
nonsense."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time

from harness import (
    DONE,
    WATCHDOG_S,
    Daemon,
    E2eTest,
    Ended,
    as_nobody,
    bin_dir,
    ctl_command,
    main,
    note,
    run_process,
    wasmctl,
)

COULD_NOT_START = 1
WRONG_USAGE = 2


class Listening(E2eTest):
    def setUp(self) -> None:
        super().setUp()
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="wasmd-e2e-"))
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)

    def assert_does_not_start(self, path: pathlib.Path, *words: str, **popen) -> None:
        ended = self.start_wasmd_in_vain("--listen", f"unix:{path}", **popen)
        self.assertEqual(ended.code, COULD_NOT_START, ended)
        self.assertEqual(ended.stdout, b"")
        self.assert_one_line(ended.stderr, "wasmd", str(path), *words)

    def test_socket_in_use(self) -> None:
        for _ in range(3):
            self.assert_does_not_start(self.daemon.socket_path, "another wasmd is listening")
            self.check_call(self.daemon)

    def test_socket_of_another_server(self) -> None:
        path = self.place / "other.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            self.assert_does_not_start(path, "is listening")
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))  # It is still the other's.

    def test_stale_socket_is_replaced(self) -> None:
        path = self.place / "wasmd.sock"
        first = self.start_daemon(socket_path=path)
        first.signal(signal.SIGKILL)
        first.wait()
        self.assertTrue(stat.S_ISSOCK(path.lstat().st_mode), "a killed daemon leaves its socket")
        second = self.start_daemon(socket_path=path)
        self.check_call(second)

    def test_stale_socket_of_another_server_is_replaced(self) -> None:
        path = self.place / "wasmd.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
        self.check_call(self.start_daemon(socket_path=path))

    def test_file_is_left_alone(self) -> None:
        path = self.place / "precious"
        path.write_text("data")
        self.assert_does_not_start(path)
        self.assertEqual(path.read_text(), "data")

    def test_directory_as_socket(self) -> None:
        path = self.place / "folder"
        path.mkdir()
        self.assert_does_not_start(path)
        self.assertTrue(path.is_dir())

    def test_folder_is_missing(self) -> None:
        self.assert_does_not_start(self.place / "missing" / "wasmd.sock", "does not exist")

    def test_path_is_too_long(self) -> None:
        ended = self.start_wasmd_in_vain("--listen", f"unix:{self.place}/{'x' * 120}")
        self.assertIn(ended.code, (COULD_NOT_START, WRONG_USAGE), ended)
        self.assert_one_line(ended.stderr, "wasmd", "the path has", "107")

    def test_wrong_flags(self) -> None:
        for flags in (
            ("--nonsense",),
            ("--workers", "many"),
            ("--listen", "carrier-pigeon:"),
            ("--max-module-size", "1"),
            ("--config", "/nonexistent/wasmd.toml"),
        ):
            with self.subTest(flags=flags):
                ended = self.start_wasmd_in_vain(*flags)
                self.assertEqual((ended.code, ended.stdout), (WRONG_USAGE, b""), ended)
                self.assert_one_line(ended.stderr, "wasmd")

    def binaries_for_everybody(self) -> pathlib.Path:
        """Copies that another user can reach, wherever the build folder is."""
        folder = self.place / "bin"
        folder.mkdir(mode=0o755)
        for name in ("wasmd", "wasmctl"):
            shutil.copy(bin_dir() / name, folder / name)
            (folder / name).chmod(0o755)
        self.place.chmod(0o755)
        return folder

    def test_no_permission_to_listen(self) -> None:
        binaries = self.binaries_for_everybody()
        forbidden = self.place / "forbidden"
        forbidden.mkdir(mode=0o555)
        path = forbidden / "wasmd.sock"
        ended = run_process([str(binaries / "wasmd"), "--listen", f"unix:{path}"], **as_nobody())
        self.assertEqual((ended.code, ended.stdout), (COULD_NOT_START, b""), ended)
        self.assert_one_line(ended.stderr, "wasmd", str(path), "ermission denied")

    def test_no_permission_to_connect(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("LOUD SKIP: a client that is somebody else needs root to be started")
        binaries = self.binaries_for_everybody()
        path = self.place / "wasmd.sock"
        daemon = self.start_daemon(socket_path=path)
        self.assertEqual(stat.S_IMODE(path.lstat().st_mode), 0o600)
        command = ctl_command(daemon, "health")
        command[0] = str(binaries / "wasmctl")
        ended = run_process(command, **as_nobody())
        self.assert_refused(ended, str(path), "no permission")
        # With a mode that says so, others may.
        daemon.kill()
        daemon = self.start_daemon("--socket-mode", "0666", socket_path=path)
        self.assertEqual(run_process(command, **as_nobody()).code, DONE)

    def test_no_daemon(self) -> None:
        path = self.place / "nobody.sock"
        for command in (("health",), ("call", self.module, "fib", 1), ("run", self.module), ("top",)):
            with self.subTest(command=command):
                ended = wasmctl(f"unix:{path}", *command)
                self.assert_refused(ended, str(path), "wasmd --listen", "--spawn")

    def test_address_that_is_a_directory_or_a_file(self) -> None:
        path = self.place / "file"
        path.write_text("data")
        for place in (self.place, path):
            with self.subTest(place=place):
                self.assert_refused(wasmctl(f"unix:{place}", "health"), str(place))

    def test_server_that_is_no_wasmd(self) -> None:
        path = self.place / "other.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            command = ctl_command(f"unix:{path}", "health")
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(process.kill)
            other.settimeout(WATCHDOG_S)
            connection, _ = other.accept()
            connection.recv(100)
            connection.sendall(b"220 mail.example ESMTP ready\r\n")
            connection.close()
            out, err = process.communicate(timeout=WATCHDOG_S)
        self.assert_refused(Ended(process.returncode, out, err.decode(), 0), str(path))


class Connections(E2eTest):
    def connect(self, daemon: Daemon | None = None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(connection.close)
        connection.settimeout(WATCHDOG_S)
        connection.connect(str((daemon or self.daemon).socket_path))
        return connection

    def wait_until_closed(self, connection: socket.socket) -> tuple[bytes, float]:
        """What came, and how long it took. A test fails if it takes for ever."""
        start = time.monotonic()
        received = b""
        try:
            while data := connection.recv(4096):
                received += data
                self.assertLess(len(received), 1 << 20)
        except ConnectionResetError:
            pass
        return received, time.monotonic() - start

    def test_silent_connections_are_closed(self) -> None:
        """Also those that begin to say something, and also many of them, while others are served."""
        beginnings = (b"", b"P", b"WS", b"PRI", b"WSMD", b"WSMD\1\0\1\0")
        connections = [(beginning, self.connect()) for beginning in beginnings for _ in range(10)]
        for beginning, connection in connections:
            connection.sendall(beginning)
        self.check_call(self.daemon)
        for beginning, connection in connections:
            _, seconds = self.wait_until_closed(connection)
            if connection is connections[0][1]:
                note(f"a silent connection is closed after {seconds:.2f} s")
        self.wait_for("connections are gone", lambda: self.stats()["connections"] <= 2)

    def test_garbage(self) -> None:
        frame = struct.Struct("<4sHHII")
        cases = {
            "text": b"hello\r\n\r\n",
            "HTTP/1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
            "zeros": bytes(4096),
            "random": os.urandom(1 << 16),
            "HTTP/2 that is none": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
            "PRI alone": b"PRI me a river of bytes that are no preface",
            "handshake of another version": frame.pack(b"WSMD", 99, 1, 0, 0),
            "handshake of an unknown type": frame.pack(b"WSMD", 1, 77, 0, 0),
            "handshake with a huge payload": frame.pack(b"WSMD", 1, 1, 0xFFFFFFFF, 0) + bytes(1 << 16),
            "descriptors before hello": frame.pack(b"WSMD", 1, 3, 4, 0) + struct.pack("<I", 1),
            "two hellos": frame.pack(b"WSMD", 1, 1, 0, 0) * 2,
            "descriptors without any": frame.pack(b"WSMD", 1, 1, 0, 0)
            + frame.pack(b"WSMD", 1, 3, 4, 0)
            + struct.pack("<I", 3),
        }
        for name, data in cases.items():
            with self.subTest(name):
                connection = self.connect()
                try:
                    connection.sendall(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.wait_until_closed(connection)
                self.check_call(self.daemon)

    def test_connections_that_go_at_once(self) -> None:
        for _ in range(500):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(self.daemon.socket_path))
        self.check_call(self.daemon)

    def test_connections_over_the_limit(self) -> None:
        daemon = self.start_daemon("--max-connections", "8")
        connections = [self.connect(daemon) for _ in range(40)]
        for connection in connections:
            self.wait_until_closed(connection)
        self.check_call(daemon)

    def test_session_that_holds_its_handshake_open(self) -> None:
        connection = self.connect()
        connection.sendall(struct.pack("<4sHHII", b"WSMD", 1, 1, 0, 0))
        header = connection.recv(16, socket.MSG_WAITALL)
        magic, version, kind, size, _ = struct.unpack("<4sHHII", header)
        self.assertEqual((magic, version, kind, size), (b"WSMD", 1, 2, 64))
        self.assertRegex(connection.recv(64, socket.MSG_WAITALL), rb"\A[0-9a-f]{64}\Z")
        before = self.stats()["sessions"]
        connection.close()
        self.wait_for("the session ends with it", lambda: self.stats()["sessions"] < before)


if __name__ == "__main__":
    main()
