"""Sessions, modules, instances, runs."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Union

import grpc

from . import _errors
from ._address import default_address, grpc_target
from ._values import ExternType, FuncType, PythonValue, Value, extern_type
from .v1 import (
    instance_pb2,
    instance_pb2_grpc,
    invocation_pb2,
    invocation_pb2_grpc,
    module_pb2,
    module_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    value_pb2,
)

_PROTOCOL_VERSION = 1
_CHUNK_BYTES = 256 << 10
_MEMORY_PART_BYTES = 1 << 20
# Of an input and of an output of call_bytes.
_MAX_CALL_BYTES = 4 << 20
_OPTIONS: list[tuple[str, Any]] = [
    # Of the authority a unix socket's server wants only that it is well-formed.
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.enable_retries", 0),
    # A channel of its own, not one that another client of this process shares.
    ("grpc.use_local_subchannel_pool", 1),
]



def _stub(kind: Any, channel: grpc.Channel) -> Any:
    """The generated stubs have no types."""
    return kind(channel)


Stdin = Union[bytes, BinaryIO, Iterable[bytes], None]


class Cancellation:
    """Cancels what it was given to, from any thread: `client.call(…, cancel=c)`, `c.cancel()`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._calls: set[Any] = set()

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            calls = list(self._calls)
        for call in calls:
            call.cancel()

    def _add(self, call: Any) -> None:
        with self._lock:
            self._calls.add(call)
            cancelled = self._cancelled
        if cancelled:
            call.cancel()

    def _remove(self, call: Any) -> None:
        with self._lock:
            self._calls.discard(call)


@dataclass(frozen=True)
class SandboxInfo:
    """How the daemon has confined itself; `lacking` is what its kernel cannot."""

    mode: str  # "off", "basic", "strict"; empty: a daemon that does not say.
    in_force: tuple[str, ...]
    lacking: tuple[str, ...]


@dataclass(frozen=True)
class ServerInfo:
    version: str
    protocol_version: int
    started_at: float  # Unix time, in seconds.
    pid: int
    workers: int
    max_runs: int
    sandbox: SandboxInfo


@dataclass(frozen=True)
class ServerStats:
    uptime: float  # In seconds.
    resident_bytes: int
    peak_resident_bytes: int
    cpu_seconds: float
    connections: int
    sessions: int
    modules: int
    instances: int
    calls_total: int
    runs_total: int
    traps_total: int
    cancelled_total: int
    deadline_exceeded_total: int


@dataclass(frozen=True)
class RunResult:
    """How a program ended. stdout and stderr are empty where they went into a file."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    duration: float  # In seconds.
    peak_memory_bytes: int


def connect(address: str | None = None, *, timeout: float = 10, name: str = "wasmd-python") -> Client:
    """Opens a session. `address`: unix:/path or host:port; without one, `default_address()`.

    ConnectionFailed: there is no daemon. ValueError: not an address.
    """
    return Client(address or default_address(), timeout=timeout, name=name)


class Client:
    """A session with a daemon. Thread-safe. A context manager: the session, and all that belongs to it, ends with it."""

    def __init__(self, address: str, *, timeout: float = 10, name: str = "wasmd-python") -> None:
        self.address = address
        self._channel = grpc.insecure_channel(grpc_target(address), options=_OPTIONS)
        self._sessions = _stub(session_pb2_grpc.SessionServiceStub, self._channel)
        self._modules = _stub(module_pb2_grpc.ModuleServiceStub, self._channel)
        self._instances = _stub(instance_pb2_grpc.InstanceServiceStub, self._channel)
        self._invocations = _stub(invocation_pb2_grpc.InvocationServiceStub, self._channel)
        self._server = _stub(server_pb2_grpc.ServerServiceStub, self._channel)
        self._metadata: tuple[tuple[str, str], ...] = ()
        self._ids = itertools.count(1)
        self._closed = False
        try:
            response: session_pb2.InitializeResponse = self._request(
                self._sessions.Initialize,
                session_pb2.InitializeRequest(
                    client_name=name, client_version="0.1.0", protocol_version=_PROTOCOL_VERSION
                ),
                timeout,
            )
            if response.protocol_version != _PROTOCOL_VERSION:
                raise _errors.RpcError(
                    f"wasmd {response.server_version} speaks protocol version {response.protocol_version}, "
                    f"this client {_PROTOCOL_VERSION}",
                    grpc.StatusCode.FAILED_PRECONDITION,
                )
        except _errors.ConnectionFailed as error:
            self._channel.close()
            raise _errors.ConnectionFailed(f"no wasmd at {address}: {error}", error.code) from None
        except BaseException:
            self._channel.close()
            raise
        self._metadata = (("wasmd-session", response.session_token),)
        self.server_version: str = response.server_version
        self.wasm_features: tuple[str, ...] = tuple(response.capabilities.wasm_features)
        self.roots: tuple[str, ...] = tuple(response.capabilities.roots)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session: what runs is cancelled, instances are dropped. Again is harmless."""
        if self._closed:
            return
        self._closed = True
        try:
            self._request(self._sessions.Close, session_pb2.CloseRequest(), 5)
        except _errors.RpcError:
            pass  # Gone already, or going.
        self._channel.close()

    # ---- Modules

    def load(self, source: str | os.PathLike[str] | bytes, *, name: str = "", eager: bool = False) -> Module:
        """Makes the daemon have a module, from a file or its bytes; sent only if the daemon has it not.

        InvalidModule: malformed, invalid, or it needs a feature that the daemon lacks.
        """
        if isinstance(source, bytes):
            data = source
        else:
            with open(source, "rb") as file:
                data = file.read()
            name = name or os.path.basename(os.fspath(source))
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        if not eager:
            try:
                return self.module(digest)
            except _errors.NotFound:
                pass

        def requests() -> Iterator[module_pb2.UploadModuleRequest]:
            yield module_pb2.UploadModuleRequest(
                header=module_pb2.UploadModuleHeader(
                    size_bytes=len(data), name=name, eager=eager, expected_digest=digest
                )
            )
            for offset in range(0, len(data), _CHUNK_BYTES):
                yield module_pb2.UploadModuleRequest(chunk=data[offset : offset + _CHUNK_BYTES])

        try:
            self._modules.UploadModule(requests(), metadata=self._metadata)
        except grpc.RpcError as error:
            converted = _errors.from_grpc(error)
            if converted.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED):
                raise _errors.InvalidModule(str(converted), converted.code) from None
            raise converted from None
        return self.module(digest)

    def module(self, digest: str) -> Module:
        """A module that the daemon has: "sha256:…", or a prefix of at least 8 hex digits. NotFound."""
        if not digest.startswith("sha256:"):
            digest = "sha256:" + digest
        response: module_pb2.GetModuleResponse = self._request(
            self._modules.GetModule, module_pb2.GetModuleRequest(digest=digest, full=True)
        )
        return Module(self, response)

    def modules(self) -> list[str]:
        """The digests of the modules that this user has uploaded."""
        response: module_pb2.ListModulesResponse = self._request(
            self._modules.ListModules, module_pb2.ListModulesRequest()
        )
        return [entry.digest for entry in response.modules]

    def remove(self, module: Module | str) -> None:
        digest = module.digest if isinstance(module, Module) else module
        self._request(self._modules.RemoveModule, module_pb2.RemoveModuleRequest(digest=digest))

    # ---- The daemon

    def server_info(self) -> ServerInfo:
        response: server_pb2.GetServerInfoResponse = self._request(
            self._server.GetServerInfo, server_pb2.GetServerInfoRequest()
        )
        return ServerInfo(
            response.version,
            response.protocol_version,
            response.started_at_ms / 1000,
            response.pid,
            response.workers,
            response.max_runs,
            SandboxInfo(
                response.sandbox.mode, tuple(response.sandbox.in_force), tuple(response.sandbox.lacking)
            ),
        )

    def stats(self) -> ServerStats:
        response: server_pb2.GetStatsResponse = self._request(self._server.GetStats, server_pb2.GetStatsRequest())
        return ServerStats(
            response.uptime_ms / 1000,
            response.resident_bytes,
            response.peak_resident_bytes,
            response.cpu_seconds,
            response.connections,
            response.sessions,
            response.modules,
            response.instances,
            response.calls_total,
            response.runs_total,
            response.traps_total,
            response.cancelled_total,
            response.deadline_exceeded_total,
        )

    # ---- Shared by what belongs to the session

    def _request(
        self, method: Any, request: Any, timeout: float | None = None, cancel: Cancellation | None = None
    ) -> Any:
        call = method.future(request, timeout=timeout, metadata=self._metadata)
        if cancel is not None:
            cancel._add(call)
        try:
            return call.result()
        except grpc.RpcError as error:
            raise _errors.from_grpc(error) from None
        except grpc.FutureCancelledError:
            raise _errors.Cancelled("cancelled", grpc.StatusCode.CANCELLED) from None
        except BaseException:
            # Ctrl-C: the guest must not go on.
            call.cancel()
            raise
        finally:
            if cancel is not None:
                cancel._remove(call)

    def _call(
        self,
        target: dict[str, Any],
        func: str,
        args: Sequence[Value],
        timeout: float | None,
        cancel: Cancellation | None,
    ) -> tuple[Value, ...]:
        request = invocation_pb2.CallRequest(func=func, args=[value.to_proto() for value in args], **target)
        response: invocation_pb2.CallResponse = self._request(self._invocations.Call, request, timeout, cancel)
        return _values_of(response.outcome)


    def _call_bytes(
        self,
        target: dict[str, Any],
        func: str,
        data: bytes,
        timeout: float | None,
        cancel: Cancellation | None,
    ) -> bytes:
        if len(data) > _MAX_CALL_BYTES:
            # A request that is much larger would not even be read.
            raise _errors.ResourceExhausted(
                f"the input has {len(data)} bytes; one call takes no more than {_MAX_CALL_BYTES}",
                grpc.StatusCode.RESOURCE_EXHAUSTED,
            )
        request = invocation_pb2.CallBytesRequest(func=func, input=bytes(data), **target)
        response: invocation_pb2.CallBytesResponse = self._request(
            self._invocations.CallBytes, request, timeout, cancel
        )
        if response.WhichOneof("kind") == "output":
            return response.output
        _values_of(response.outcome)
        raise _errors.Error("the daemon sent values instead of a byte string")


def _values_of(outcome: value_pb2.Outcome) -> tuple[Value, ...]:
    kind = outcome.WhichOneof("kind")
    if kind == "values":
        return tuple(Value.from_proto(value) for value in outcome.values.values)
    if kind == "exit_code":
        raise _errors.Exit(outcome.exit_code)
    raise _trap_of(outcome.trap)


def _trap_of(trap: value_pb2.Trap) -> _errors.Trap:
    frames = tuple(
        _errors.TrapFrame(frame.module_name, frame.func_index, frame.func_name, frame.module_offset)
        for frame in trap.frames
    )
    try:
        code = value_pb2.TrapCode.Name(trap.code).removeprefix("TRAP_CODE_").lower().replace("_", "-")
    except ValueError:
        code = f"trap-{trap.code}"
    return _errors.Trap(code, trap.message or code, frames, trap.frames_omitted)


class Module:
    """A module that the daemon has. Immutable; usable as long as its client."""

    def __init__(self, client: Client, details: module_pb2.GetModuleResponse) -> None:
        self._client = client
        self.digest: str = details.module.digest
        self.name: str = details.module.name
        self.size_bytes: int = details.module.size_bytes
        self.imports: tuple[tuple[str, str, ExternType], ...] = tuple(
            (entry.module, entry.name, extern_type(entry.type)) for entry in details.imports
        )
        self.exports: dict[str, ExternType] = {entry.name: extern_type(entry.type) for entry in details.exports}

    def __repr__(self) -> str:
        return f"<wasmd.Module {self.name or self.digest}>"

    def func_type(self, func: str) -> FuncType:
        """The type of an exported function. NotFound: there is none of that name."""
        found = self.exports.get(func)
        if not isinstance(found, FuncType):
            raise _errors.NotFound(f"{self!r} exports no function {func!r}", grpc.StatusCode.NOT_FOUND)
        return found

    def call(
        self, func: str, *args: PythonValue, timeout: float | None = None, cancel: Cancellation | None = None
    ) -> Any:
        """Calls an exported function in a fresh instance: None, a value, or a tuple of values.

        TypeError, OverflowError: the arguments do not fit the function's type. Trap, Exit: how the guest ended.
        """
        values = self._convert(func, args)
        return _pythonic(self._client._call({"module": self.digest}, func, values, timeout, cancel))

    def call_values(
        self, func: str, args: Sequence[Value] = (), *, timeout: float | None = None, cancel: Cancellation | None = None
    ) -> tuple[Value, ...]:
        """As `call`, with every bit of every value, and the daemon's own check of the arguments."""
        return self._client._call({"module": self.digest}, func, args, timeout, cancel)

    def call_bytes(
        self, func: str, data: bytes, *, timeout: float | None = None, cancel: Cancellation | None = None
    ) -> bytes:
        """Calls an exported function that takes and gives a byte string (docs/bytes.md), in a fresh instance.

        NotFound: the module lacks the function, or another export that such functions need. ResourceExhausted: the data has more
        than 4 MiB; RpcError with OUT_OF_RANGE: the output has. Trap, Exit: how the guest ended.
        """
        return self._client._call_bytes({"module": self.digest}, func, data, timeout, cancel)

    def instantiate(
        self, imports: Mapping[str, Instance] | None = None, *, wasi: bool = False, timeout: float | None = None
    ) -> Instance:
        """Makes an instance. `imports` names, for each module name that is imported, the instance whose exports satisfy it."""
        bindings = [
            instance_pb2.ImportBinding(module=name, instance=instance._live_id()) for name, instance in (imports or {}).items()
        ]
        response: instance_pb2.CreateInstanceResponse = self._client._request(
            self._client._instances.CreateInstance,
            instance_pb2.CreateInstanceRequest(module=self.digest, imports=bindings, wasi=wasi),
            timeout,
        )
        if not response.instance:
            _values_of(response.outcome)
            raise _errors.Error("the start function did not return")
        return Instance(self._client, self, response.instance)

    def run(
        self,
        args: Sequence[str | bytes] | None = None,
        *,
        stdin: Stdin = None,
        stdout: BinaryIO | None = None,
        stderr: BinaryIO | None = None,
        env: Mapping[str, str] | None = None,
        roots: Mapping[str, str] | None = None,
        scratch: Mapping[str, int] | None = None,
        max_memory_bytes: int = 0,
        fuel: int | None = None,
        timeout: float | None = None,
        cancel: Cancellation | None = None,
    ) -> RunResult:
        """Runs a WASI program until it ends.

        `args` includes argv[0]; default: the module's name alone. `stdin`: bytes, an open file, an iterable of bytes, or None for
        nothing. `stdout` and `stderr`: open files, or None to have them in the result. `roots`: guest path → the name of a directory
        that the daemon's configuration offers. `scratch`: guest path → the size in bytes of an empty directory in memory, which goes with
        the run (0: as large as the daemon allows). `fuel`: the instructions that it may execute (docs/deadlines.md). Trap: it trapped;
        what it wrote before is in the files, or lost.
        """
        start = invocation_pb2.RunStart(
            module=self.digest,
            args=[arg.encode("utf-8", "surrogateescape") if isinstance(arg, str) else arg for arg in args]
            if args is not None
            else [(self.name or "program").encode()],
            env=[invocation_pb2.EnvVar(name=name, value=value) for name, value in (env or {}).items()],
            preopens=[
                invocation_pb2.Preopen(guest_path=guest, root=root) for guest, root in (roots or {}).items()
            ]
            + [
                invocation_pb2.Preopen(guest_path=guest, scratch=invocation_pb2.Scratch(max_bytes=size))
                for guest, size in (scratch or {}).items()
            ],
            stdin=invocation_pb2.Stdio(null=True) if stdin is None else invocation_pb2.Stdio(stream=True),
            stdout=invocation_pb2.Stdio(stream=True),
            stderr=invocation_pb2.Stdio(stream=True),
            invocation_id=next(self._client._ids),
            max_memory_bytes=max_memory_bytes,
            fuel=fuel,
        )
        return _Run(self._client, start, stdin, stdout, stderr).wait(timeout, cancel)

    def _convert(self, func: str, args: Sequence[PythonValue]) -> list[Value]:
        type = self.func_type(func)
        if len(args) != len(type.params):
            raise TypeError(f"{func} is {type}: it takes {len(type.params)} arguments, not {len(args)}")
        values = []
        for index, (param, arg) in enumerate(zip(type.params, args, strict=True)):
            try:
                values.append(Value.of(param, arg))
            except (TypeError, OverflowError) as error:
                raise error.__class__(f"{func} is {type}: argument {index + 1}: {error}") from None
        return values


def _pythonic(values: tuple[Value, ...]) -> Any:
    if not values:
        return None
    return values[0].python if len(values) == 1 else tuple(value.python for value in values)


class Instance:
    """An instance in the daemon, with its state. A context manager: dropped at its end. Calls of one instance take turns."""

    def __init__(self, client: Client, module: Module, id: int) -> None:
        self._client = client
        self.module = module
        self.id = id

    def __enter__(self) -> Instance:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.drop()
        except _errors.RpcError:
            pass  # The session is gone, and the instance with it.

    def call(
        self, func: str, *args: PythonValue, timeout: float | None = None, cancel: Cancellation | None = None
    ) -> Any:
        """As Module.call. After DeadlineExceeded or Cancelled in the middle of a call the instance's state is gone."""
        values = self.module._convert(func, args)
        return _pythonic(self._client._call({"instance": self._live_id()}, func, values, timeout, cancel))

    def call_values(
        self, func: str, args: Sequence[Value] = (), *, timeout: float | None = None, cancel: Cancellation | None = None
    ) -> tuple[Value, ...]:
        return self._client._call({"instance": self._live_id()}, func, args, timeout, cancel)

    def call_bytes(
        self, func: str, data: bytes, *, timeout: float | None = None, cancel: Cancellation | None = None
    ) -> bytes:
        """As Module.call_bytes. After DeadlineExceeded or Cancelled in the middle of a call the instance's state is gone."""
        return self._client._call_bytes({"instance": self._live_id()}, func, data, timeout, cancel)

    def _live_id(self) -> int:
        if not self.id:
            raise _errors.NotFound("the instance was dropped", grpc.StatusCode.NOT_FOUND)
        return self.id

    @property
    def memory(self) -> Memory:
        """The only exported memory."""
        return Memory(self, "")

    def memory_named(self, name: str) -> Memory:
        return Memory(self, name)

    def get_global(self, name: str) -> PythonValue:
        response: instance_pb2.GetGlobalResponse = self._client._request(
            self._client._instances.GetGlobal, instance_pb2.GetGlobalRequest(instance=self._live_id(), **{"global": name})
        )
        return Value.from_proto(response.value).python

    def set_global(self, name: str, value: PythonValue | Value) -> None:
        """A plain Python value is taken for the type that the module declares."""
        if not isinstance(value, Value):
            declared = self.module.exports.get(name)
            type = getattr(declared, "type", None)
            if type is None:
                raise _errors.NotFound(f"{self.module!r} exports no global {name!r}", grpc.StatusCode.NOT_FOUND)
            value = Value.of(type, value)
        self._client._request(
            self._client._instances.SetGlobal,
            instance_pb2.SetGlobalRequest(instance=self._live_id(), value=value.to_proto(), **{"global": name}),
        )

    def drop(self) -> None:
        """Ends it. Again is harmless."""
        if self.id:
            id, self.id = self.id, 0
            self._client._request(self._client._instances.DropInstance, instance_pb2.DropInstanceRequest(instance=id))


class Memory:
    """A linear memory of an instance."""

    def __init__(self, instance: Instance, name: str) -> None:
        self._instance = instance
        self._name = name

    def read(self, offset: int, size: int) -> bytes:
        """RpcError with OUT_OF_RANGE: not inside the memory."""
        client = self._instance._client
        parts = []
        for part in range(0, size, _MEMORY_PART_BYTES):
            response: instance_pb2.ReadMemoryResponse = client._request(
                client._instances.ReadMemory,
                instance_pb2.ReadMemoryRequest(
                    instance=self._instance._live_id(),
                    memory=self._name,
                    offset=offset + part,
                    size_bytes=min(size - part, _MEMORY_PART_BYTES),
                ),
            )
            parts.append(response.data)
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        client = self._instance._client
        for part in range(0, len(data), _MEMORY_PART_BYTES):
            client._request(
                client._instances.WriteMemory,
                instance_pb2.WriteMemoryRequest(
                    instance=self._instance._live_id(),
                    memory=self._name,
                    offset=offset + part,
                    data=data[part : part + _MEMORY_PART_BYTES],
                ),
            )


class _Run:
    """A run in progress: requests are made on a thread of gRPC's, responses are read on the caller's."""

    def __init__(
        self,
        client: Client,
        start: invocation_pb2.RunStart,
        stdin: Stdin,
        stdout: BinaryIO | None,
        stderr: BinaryIO | None,
    ) -> None:
        self._client = client
        self._start = start
        self._stdin = stdin
        self._input_error: BaseException | None = None
        self._stdout = io.BytesIO() if stdout is None else None
        self._stderr = io.BytesIO() if stderr is None else None
        self._write_stdout: Callable[[bytes], object] = (self._stdout or stdout).write  # type: ignore[union-attr]
        self._write_stderr: Callable[[bytes], object] = (self._stderr or stderr).write  # type: ignore[union-attr]

    def _requests(self) -> Iterator[invocation_pb2.RunRequest]:
        yield invocation_pb2.RunRequest(start=self._start)
        try:
            for chunk in _chunks(self._stdin):
                yield invocation_pb2.RunRequest(stdin_data=chunk)
        except GeneratorExit:
            raise
        except BaseException as error:
            # gRPC would swallow it: the caller hears of it when the run is over.
            self._input_error = error
            self._call.cancel()

    def wait(self, timeout: float | None, cancel: Cancellation | None) -> RunResult:
        self._call: Any = self._client._invocations.Run(
            self._requests(), timeout=timeout, metadata=self._client._metadata
        )
        if cancel is not None:
            cancel._add(self._call)
        exit: invocation_pb2.RunExit | None = None
        try:
            for response in self._call:
                kind = response.WhichOneof("kind")
                if kind == "stdout_data":
                    self._write_stdout(response.stdout_data)
                elif kind == "stderr_data":
                    self._write_stderr(response.stderr_data)
                elif kind == "exit":
                    exit = response.exit
        except grpc.RpcError as error:
            if self._input_error is not None:
                raise self._input_error from None
            raise _errors.from_grpc(error) from None
        except BaseException:
            # A file that cannot be written, or Ctrl-C.
            self._call.cancel()
            raise
        finally:
            if cancel is not None:
                cancel._remove(self._call)
        if exit is None:
            raise _errors.RpcError("the daemon ended the run without saying how", grpc.StatusCode.INTERNAL)
        if exit.outcome.WhichOneof("kind") == "trap":
            raise _trap_of(exit.outcome.trap)
        return RunResult(
            exit_code=exit.outcome.exit_code,
            stdout=self._stdout.getvalue() if self._stdout is not None else b"",
            stderr=self._stderr.getvalue() if self._stderr is not None else b"",
            duration=exit.duration_ns / 1e9,
            peak_memory_bytes=exit.peak_memory_bytes,
        )


def _chunks(stdin: Stdin) -> Iterator[bytes]:
    if stdin is None:
        return
    if isinstance(stdin, bytes):
        stdin = io.BytesIO(stdin)
    read = getattr(stdin, "read1", None) or getattr(stdin, "read", None)
    if read is None:
        for chunk in stdin:
            for offset in range(0, len(chunk), _CHUNK_BYTES):
                yield chunk[offset : offset + _CHUNK_BYTES]
        return
    while chunk := read(_CHUNK_BYTES):
        yield chunk
