"""The modules of `scripts/bench.sh call`, as bytes: no tool has to be there to make them."""

from __future__ import annotations

I32 = b"\x7f"
FUNCTIONS = 1000
DATA_BYTES = 64 << 10


def leb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def vector(items: list[bytes]) -> bytes:
    return leb(len(items)) + b"".join(items)


def name(text: str) -> bytes:
    return leb(len(text)) + text.encode()


def section(number: int, content: bytes) -> bytes:
    return bytes([number]) + leb(len(content)) + content


def body(code: bytes, local_declarations: bytes = b"\x00") -> bytes:
    content = local_declarations + code + b"\x0b"
    return leb(len(content)) + content


def export(text: str, func: int) -> bytes:
    return name(text) + b"\x00" + leb(func)


def instantiate_module() -> bytes:
    """FUNCTIONS functions () -> i32, the first exported as `first`; two pages, DATA_BYTES of them active data."""
    functions = [body(b"\x41\x00\x28\x02\x00")]  # i32.load of address 0: the image is touched.
    functions += [body(b"\x41" + leb(index % 64)) for index in range(1, FUNCTIONS)]
    data = bytes(range(1, 256)) * (DATA_BYTES // 255 + 1)
    return b"\x00asm\x01\x00\x00\x00" + b"".join(
        [
            section(1, vector([b"\x60\x00\x01" + I32])),
            section(3, vector([b"\x00"] * FUNCTIONS)),
            section(5, vector([b"\x00\x02"])),
            section(7, vector([export("first", 0)])),
            section(10, vector(functions)),
            section(11, vector([b"\x00\x41\x00\x0b" + leb(DATA_BYTES) + data[:DATA_BYTES]])),
        ]
    )


def loop(code: bytes) -> bytes:
    """Runs `code` as often as parameter 0, which is not 0, says."""
    return b"\x03\x40" + code + b"\x20\x00\x41\x01\x6b\x22\x00\x0d\x00\x0b"


def call_module() -> bytes:
    """Imports env.nop; exports nop, add, trap (unreachable), call_host and call_nothing (loops of n rounds)."""
    types = [b"\x60\x00\x00", b"\x60\x02" + I32 + I32 + b"\x01" + I32, b"\x60\x01" + I32 + b"\x00"]
    return b"\x00asm\x01\x00\x00\x00" + b"".join(
        [
            section(1, vector(types)),
            section(2, vector([name("env") + name("nop") + b"\x00\x00"])),
            section(3, vector([b"\x00", b"\x01", b"\x00", b"\x02", b"\x02"])),
            section(7, vector([export(text, 1 + i) for i, text in enumerate(["nop", "add", "trap", "call_host", "call_nothing"])])),
            section(10, vector([body(b""), body(b"\x20\x00\x20\x01\x6a"), body(b"\x00"), body(loop(b"\x10\x00")), body(loop(b""))])),
        ]
    )
