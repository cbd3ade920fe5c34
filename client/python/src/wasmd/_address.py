"""Where a wasmd listens, as users write it, as gRPC wants it."""

from __future__ import annotations

import os


def default_address() -> str:
    """$WASMD_ADDR; else the socket in $XDG_RUNTIME_DIR; else /tmp/wasmd-<uid>.sock. As wasmctl has it."""
    if address := os.environ.get("WASMD_ADDR"):
        return address
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return f"unix:{runtime}/wasmd.sock"
    return f"unix:/tmp/wasmd-{os.getuid()}.sock"


def grpc_target(address: str) -> str:
    """gRPC's name for `unix:/path`, `/path`, `./path`, `tcp:host:port` and `host:port`."""
    if address.startswith(("/", "./", "../")):
        address = "unix:" + address
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if path.startswith("//"):
            path = path.removeprefix("//")
        if not path:
            raise ValueError(f"not an address: {address!r}: the path is empty")
        return "unix:" + os.path.abspath(path)
    host, _, port = address.removeprefix("tcp:").removeprefix("//").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"not an address: {address!r}; write unix:/path/to/socket or host:port")
    return f"dns:///{host}:{port}"
