"""What can go wrong."""

from __future__ import annotations

from dataclasses import dataclass

import grpc


class Error(Exception):
    """Everything that this package raises, but for wrong arguments (TypeError, ValueError)."""


class RpcError(Error):
    """The daemon refused, or was not reached. `code` is the gRPC status code."""

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code


class ConnectionFailed(RpcError):
    """There is no daemon, or the connection was lost."""


class InvalidModule(RpcError):
    """Not a valid module, or it needs what this daemon does not have."""


class NotFound(RpcError):
    """No such module, instance or export (any more)."""


class DeadlineExceeded(RpcError):
    """The timeout passed; the guest was stopped."""


class Cancelled(RpcError):
    """Cancelled; the guest was stopped."""


class ResourceExhausted(RpcError):
    """Over a limit of the daemon, which the message names."""


_BY_CODE: dict[grpc.StatusCode, type[RpcError]] = {
    grpc.StatusCode.UNAVAILABLE: ConnectionFailed,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
}


def from_grpc(error: grpc.RpcError) -> RpcError:
    if not isinstance(error, grpc.Call):
        return RpcError(str(error), grpc.StatusCode.UNKNOWN)
    code = error.code()
    details = " ".join((error.details() or "").split())
    return _BY_CODE.get(code, RpcError)(details or code.name.lower(), code)


@dataclass(frozen=True)
class TrapFrame:
    """A frame of a backtrace."""

    module_name: str
    func_index: int
    func_name: str
    module_offset: int

    def __str__(self) -> str:
        name = self.func_name or f"func[{self.func_index}]"
        return f"{name} ({self.module_name}, func {self.func_index}, offset {self.module_offset:#x})"


class Trap(Error):
    """The guest trapped. `code` is as in "divide-by-zero"; `frames` has the innermost first."""

    def __init__(self, code: str, message: str, frames: tuple[TrapFrame, ...], frames_omitted: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.frames = frames
        self.frames_omitted = frames_omitted


class Exit(Error):
    """A called function ended the program by WASI's proc_exit."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code
