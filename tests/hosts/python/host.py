"""CPython with libwasmd.so in its process: wasm's traps are reported, and faulthandler still reports Python's own faults.

host.py LIBRARY GUEST: runs every scenario, those that end in a crash in a process of their own.
host.py LIBRARY GUEST SCENARIO: runs one in this process.
"""

from __future__ import annotations

import ctypes
import faulthandler
import signal
import subprocess
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, byref, c_char, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint8, c_void_p


class Of(ctypes.Union):
    _fields_ = [("i32", c_int32), ("i64", c_int64), ("f32", c_float), ("f64", c_double), ("ref", c_void_p)]


class Val(ctypes.Structure):
    _fields_ = [("kind", c_uint8), ("of", Of)]


class ValVec(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("data", POINTER(Val))]


class ByteVec(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("data", POINTER(c_char))]


class PointerVec(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("data", POINTER(c_void_p))]


Callback = CFUNCTYPE(c_void_p, POINTER(ValVec), POINTER(ValVec))


def check(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


class Wasm:
    """One engine, store and instance of the guest. `call` returns (result, None) or (None, message of the trap)."""

    def __init__(self, library: str, guest: str) -> None:
        self.lib = ctypes.CDLL(library)
        for name in ("engine_new", "store_new", "module_new", "instance_new", "func_new", "func_call", "valtype_new",
                     "functype_new", "extern_as_func"):
            getattr(self.lib, f"wasm_{name}").restype = c_void_p
        self.engine = c_void_p(self.lib.wasm_engine_new())
        self.store = c_void_p(self.lib.wasm_store_new(self.engine))
        with open(guest, "rb") as file:
            data = file.read()
        binary = ByteVec(len(data), ctypes.cast(ctypes.create_string_buffer(data, len(data)), POINTER(c_char)))
        module = c_void_p(self.lib.wasm_module_new(self.store, byref(binary)))
        check(bool(module), "no module")
        self.on_call = lambda number: number * 2
        self.callback = Callback(self._host)  # Kept alive: wasm calls it.
        params, results = PointerVec(), PointerVec()
        for vec in (params, results):
            types = (c_void_p * 1)(self.lib.wasm_valtype_new(c_uint8(0)))
            self.lib.wasm_valtype_vec_new(byref(vec), c_size_t(1), types)
        func_type = c_void_p(self.lib.wasm_functype_new(byref(params), byref(results)))
        func = c_void_p(self.lib.wasm_func_new(self.store, func_type, self.callback))
        self.lib.wasm_functype_delete(func_type)
        imports = PointerVec(1, (c_void_p * 1)(func))
        instance = c_void_p(self.lib.wasm_instance_new(self.store, module, byref(imports), None))
        check(bool(instance), "no instance")
        self.exports = PointerVec()
        self.lib.wasm_instance_exports(instance, byref(self.exports))
        self.lib.wasm_instance_delete(instance)
        self.lib.wasm_module_delete(module)
        self.lib.wasm_func_delete(func)

    def _host(self, args, results):  # type: ignore[no-untyped-def]
        results[0].data[0].of.i32 = self.on_call(args[0].data[0].of.i32)
        return None

    def call(self, index: int, *args: int) -> tuple[int | None, str | None]:
        func = c_void_p(self.lib.wasm_extern_as_func(c_void_p(self.exports.data[index])))
        values = (Val * max(len(args), 1))()
        for value, arg in zip(values, args):
            value.kind, value.of.i32 = 0, arg
        result = (Val * 1)()
        arg_vec, result_vec = ValVec(len(args), values), ValVec(1, result)
        trap = self.lib.wasm_func_call(func, byref(arg_vec), byref(result_vec))
        if trap is None:
            return result[0].of.i32, None
        message = ByteVec()
        self.lib.wasm_trap_message(c_void_p(trap), byref(message))
        text = ctypes.cast(message.data, c_char_p).value.decode()
        self.lib.wasm_byte_vec_delete(byref(message))
        self.lib.wasm_trap_delete(c_void_p(trap))
        return None, text

    def close(self) -> None:
        self.lib.wasm_extern_vec_delete(byref(self.exports))
        self.lib.wasm_store_delete(self.store)
        self.lib.wasm_engine_delete(self.engine)

    def trap_in_every_way(self) -> None:
        check(self.call(ADD, 40, 2) == (42, None), "add")
        for _ in range(20):
            for index, args, wanted in ((DIVIDE, (1, 0), "divide by zero"), (LOAD, (65536,), "out of bounds memory access"),
                                        (LOAD, (-1,), "out of bounds memory access"), (RECURSE, (0,), "stack")):
                result, message = self.call(index, *args)
                check(result is None and message is not None and wanted in message, f"{index}: {result} {message}")
            check(self.call(DIVIDE, 12, 4) == (3, None), "divide after a trap")


MEMORY, ADD, DIVIDE, LOAD, RECURSE, CALL_HOST = range(6)
LIBRARY, GUEST = sys.argv[1:3]


def traps() -> None:
    wasm = Wasm(LIBRARY, GUEST)
    wasm.trap_in_every_way()
    check(wasm.call(CALL_HOST, 21) == (42, None), "the host function")

    def nested(number: int) -> int:
        result, message = wasm.call(LOAD, 1 << 20)
        check(result is None and message is not None, "a trap inside of a host function")
        return number + 1

    wasm.on_call = nested
    check(wasm.call(CALL_HOST, 1) == (2, None), "a host function that saw a trap")
    # Python's own recursion check, below wasm's frames.
    wasm.on_call = lambda number: sum(1 for _ in recursion_errors())
    check(wasm.call(CALL_HOST, 1) == (1, None), "RecursionError below wasm")
    wasm.close()


def recursion_errors():  # type: ignore[no-untyped-def]
    def forever() -> None:
        forever()

    try:
        forever()
    except RecursionError as error:
        yield error


def threads() -> None:
    """Each thread has a store of its own, and one store migrates: used by all of them in turn."""
    shared, lock, failures = Wasm(LIBRARY, GUEST), threading.Lock(), []

    def run() -> None:
        try:
            own = Wasm(LIBRARY, GUEST)
            for _ in range(5):
                own.trap_in_every_way()
                with lock:
                    shared.trap_in_every_way()
            own.close()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    running = [threading.Thread(target=run) for _ in range(6)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    shared.close()
    check(not failures, str(failures))


def fault() -> None:
    ctypes.string_at(0x10)


def before() -> None:
    """faulthandler was there first: our action hands its faults on."""
    faulthandler.enable()
    Wasm(LIBRARY, GUEST).trap_in_every_way()
    fault()


def after() -> None:
    """faulthandler comes later: it reports Python's fault, and ours, which it goes on to, has no part in that."""
    wasm = Wasm(LIBRARY, GUEST)
    wasm.trap_in_every_way()
    faulthandler.enable()
    fault()


def again() -> None:
    """faulthandler comes later, and would report guests' faults; the next engine goes in front of it."""
    wasm = Wasm(LIBRARY, GUEST)
    wasm.trap_in_every_way()
    faulthandler.enable()
    Wasm(LIBRARY, GUEST).trap_in_every_way()
    wasm.trap_in_every_way()
    fault()


def without() -> None:
    Wasm(LIBRARY, GUEST).trap_in_every_way()
    fault()


def in_host_function() -> None:
    """A fault of the host below wasm's frames is the host's crash, not a trap."""
    faulthandler.enable()
    wasm = Wasm(LIBRARY, GUEST)
    wasm.trap_in_every_way()
    wasm.on_call = lambda number: fault() or 0
    wasm.call(CALL_HOST, 1)


def main() -> None:
    if len(sys.argv) > 3:
        return {"traps": traps, "threads": threads, "before": before, "after": after, "again": again, "without": without,
                "in_host_function": in_host_function}[sys.argv[3]]()
    for name, code, said in (("traps", 0, ""), ("threads", 0, ""), ("before", -signal.SIGSEGV, "Fatal Python error"),
                             ("after", -signal.SIGSEGV, "Fatal Python error"), ("again", -signal.SIGSEGV, "Fatal Python error"),
                             ("without", -signal.SIGSEGV, ""),
                             ("in_host_function", -signal.SIGSEGV, "Fatal Python error")):
        done = subprocess.run([sys.executable, "-X", "frozen_modules=off", __file__, LIBRARY, GUEST, name],
                              capture_output=True, text=True, timeout=240)
        check(done.returncode == code and said in done.stderr,
              f"{name} ends with {done.returncode}, not {code}:\n{done.stdout}{done.stderr}")
        if said:
            check(done.stderr.count(said) == 1, f"{name}: reported more than once:\n{done.stderr}")
            check("string_at" in done.stderr, f"{name}: the report does not name the place:\n{done.stderr}")
        print(f"python {name}: passed")


main()
