"""The client of a guest's listening socket, who does what the guest asks for (tests/guests/wasi/c/sockets.c)."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time

WATCHDOG_S = 30


class Failure(Exception):
    """The guest sent something else than it said, or did not listen."""


@dataclasses.dataclass(frozen=True)
class Address:
    where: tuple[str, int]

    def getsockname(self) -> tuple[str, int]:
        return self.where


class Client:
    """One connection at a time, the latest. Earlier ones stay open until the end."""

    def __init__(self, where: tuple[str, int]) -> None:
        self._where = where
        self._connections: list[socket.socket] = []
        self._drain: threading.Thread | None = None

    def do(self, what: str) -> None:
        verb, _, rest = what.partition(" ")
        if verb == "connect":
            self._connections.append(self._connect())
            return
        connection = self._connections[-1]
        try:
            if self._drain is not None:
                # Everything behind it comes when all is taken.
                self._drain.join(WATCHDOG_S)
                self._drain = None
            if verb == "send":
                connection.sendall(rest.encode())
            elif verb == "expect":
                got = self._read(connection, len(rest.encode()))
                if got != rest.encode():
                    raise Failure(f"the client got {got!r}, not {rest!r}")
            elif verb == "expect-end":
                if connection.recv(1) != b"":
                    raise Failure("the client got a byte, not the end")
            elif verb == "drain":
                self._drain = threading.Thread(target=self._read, args=(connection, int(rest)))
                self._drain.start()
            elif verb == "finish":
                connection.shutdown(socket.SHUT_WR)
            elif verb == "close":
                self._connections.pop().close()
            else:
                raise Failure(f"what is {what!r}?")
        except OSError as error:
            raise Failure(f"{what}: {error}") from None

    def _connect(self) -> socket.socket:
        # An engine that listens itself may not do so yet.
        end = time.monotonic() + WATCHDOG_S
        while True:
            try:
                return socket.create_connection(self._where, timeout=WATCHDOG_S)
            except ConnectionRefusedError as error:
                if time.monotonic() > end:
                    raise Failure(f"connect: {error}") from None

    @staticmethod
    def _read(connection: socket.socket, size: int) -> bytes:
        got = b""
        count = 0
        while count < size:
            part = connection.recv(min(size - count, 1 << 16))
            if not part:
                break
            count += len(part)
            got = (got + part)[-4096:]
        return got

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        if self._drain is not None:
            self._drain.join(WATCHDOG_S)
