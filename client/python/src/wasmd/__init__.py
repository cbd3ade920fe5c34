"""Client of wasmd, a daemon that runs WebAssembly for other processes.

    import wasmd

    with wasmd.connect("unix:/run/wasmd.sock") as client:
        module = client.load("fib.wasm")
        module.call("fib", 30)                      # 832040

        with module.instantiate() as instance:      # keeps its state from call to call
            instance.call("add", 1)
            instance.memory.read(0, 16)

        result = client.load("prog.wasm").run(["prog", "arg"], stdin=b"input")
        result.exit_code, result.stdout

A guest that traps raises `Trap`; everything else that goes wrong is another `Error`.
"""

from ._address import default_address
from ._client import (
    Cancellation,
    Client,
    Instance,
    Memory,
    Module,
    RunResult,
    SandboxInfo,
    ServerInfo,
    ServerStats,
    connect,
)
from ._errors import (
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    Error,
    Exit,
    InvalidModule,
    NotFound,
    ResourceExhausted,
    RpcError,
    Trap,
    TrapFrame,
)
from ._values import (
    ExternType,
    FuncType,
    GlobalType,
    Limits,
    MemoryType,
    PythonValue,
    Ref,
    TableType,
    TagType,
    ValType,
    Value,
)

__version__ = "0.1.0"

__all__ = [
    "Cancellation",
    "Cancelled",
    "Client",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Error",
    "Exit",
    "ExternType",
    "FuncType",
    "GlobalType",
    "Instance",
    "InvalidModule",
    "Limits",
    "Memory",
    "MemoryType",
    "Module",
    "NotFound",
    "PythonValue",
    "Ref",
    "ResourceExhausted",
    "RpcError",
    "RunResult",
    "SandboxInfo",
    "ServerInfo",
    "ServerStats",
    "TableType",
    "TagType",
    "Trap",
    "TrapFrame",
    "ValType",
    "Value",
    "connect",
    "default_address",
]
