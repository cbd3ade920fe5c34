#!/usr/bin/env python3
"""What a call from another process takes over shared memory, beside its floors and what others use.

  scripts/bench.sh ring [--json FILE] [--repetitions N] [--peers-only]

Everything takes turns, round by round; a figure is the median of its rounds. Where an end spins, the caller is
on the first CPU and the other side on the last one. Each of our figures has its floor in the same run:
  rtt        a no-op call, both sides hot / the ring alone, echoed by a process that spins (bin/bench/ring_floor)
  window     the same, 64, 128 and 256 in flight, the best of them
  bytes1k    1 KiB into a guest and out of it, 64 in flight / a process that copies it to a buffer and back
  one_cpu    client and daemon on one CPU / a futex each way there
  asleep     a call every 3 ms / an eventfd there and a futex back, both asleep before
  attach     Client::OpenChannel / connect, get the segment's descriptors, map it
  call16     16 threads with 64 calls in flight each, daemon anywhere / echo16, as many serving threads
  grpc       Instance::Call of the same no-op, one and 64 threads, daemon anywhere
  iceoryx2   a request and its response of 64 bytes by iceoryx2, both spinning (tests/bench/ring/iceoryx2_peer)
and idle_cpu_percent is of a daemon with 100 clients, attached and idle, over 10 s.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Iterator

from _bench import ROOT, build_dir, cache_dir, die, fetch, finish, hand_off_probe_ns, parse, table

sys.path.insert(0, str(ROOT / "tests/bench/call"))

from modules import I32, body, leb, name, section, vector  # noqa: E402

WINDOWS = (64, 128, 256)
CLIENTS = 16
SERVING_THREADS = 2
GRPC_THREADS = 64
IDLE_CLIENTS = 100
IDLE_S = 10.0
ICEORYX2_ROUND_TRIPS = 100_000
WATCHDOG_S = 60.0
# Between what the goals call near (a hand-off of about 130 ns) and far (480 ns).
FAR_FROM_NS = 250.0

# Where things lie in the guest's only memory.
OUTPUT = 16  # {pointer, size}
BUFFER = 1024


def ring_module() -> bytes:
    """Exports nop, and echo on byte strings (docs/bytes.md): what it gives is what it gets, where it is."""
    types = [b"\x60\x00\x00", b"\x60\x04" + I32 * 4 + b"\x01" + I32, b"\x60\x02" + I32 * 2 + b"\x01" + I32]
    functions = ["nop", "cabi_realloc", "echo"]
    constant, store = b"\x41", b"\x36\x02\x00"
    output = constant + leb(OUTPUT)
    echo = output + b"\x20\x00" + store + constant + leb(OUTPUT + 4) + b"\x20\x01" + store + output
    exports = [name(text) + b"\x00" + leb(index) for index, text in enumerate(functions)]
    return b"\x00asm\x01\x00\x00\x00" + b"".join(
        [
            section(1, vector(types)),
            section(3, vector([leb(index) for index in range(len(functions))])),
            section(5, vector([b"\x00\x02"])),
            section(7, vector([*exports, name("memory") + b"\x02\x00"])),
            section(10, vector([body(b""), body(constant + leb(BUFFER)), body(echo)])),
        ]
    )


def on_cpu(cpu: int | None, command: list[object]) -> list[str]:
    return [*(["taskset", "-c", str(cpu)] if cpu is not None else []), *(str(word) for word in command)]


def run(command: list[object], cpu: int | None = None) -> dict[str, float]:
    try:
        outcome = subprocess.run(on_cpu(cpu, command), capture_output=True, text=True, timeout=WATCHDOG_S, check=False)
    except subprocess.TimeoutExpired:
        die(f"{' '.join(map(str, command))}: no end after {WATCHDOG_S:.0f} s")
    if outcome.returncode != 0:
        die(f"{' '.join(map(str, command))}: exit code {outcome.returncode}: {outcome.stderr[-500:]}")
    return json.loads(outcome.stdout)


def wait_for_line(process: subprocess.Popen[str], what: str) -> None:
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        die(f"{what} does not start")


@contextlib.contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Ends it, if it has not ended by itself."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


class Daemon:
    """wasmd on a socket of its own. `only_cpu`: it has just that one, from its start. `cpu`: it was started
    with all of them, as daemons are, and all its threads were moved to that one."""

    def __init__(self, binary: pathlib.Path, scratch: pathlib.Path, cpu: int | None = None, only_cpu: int | None = None) -> None:
        self.address = f"unix:{scratch / 'wasmd.sock'}"
        command = [binary, "--listen", self.address, "--workers", SERVING_THREADS if cpu is None and only_cpu is None else 1]
        self._log = (scratch / "wasmd.log").open("w")
        self._process = subprocess.Popen(on_cpu(only_cpu, command), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, text=True)
        self.pid = self._process.pid
        limit = time.monotonic() + WATCHDOG_S
        # The socket takes connections before the workers have counted the CPUs.
        while "listening on" not in (said := (scratch / "wasmd.log").read_text()):
            if self._process.poll() is not None or time.monotonic() > limit:
                die(f"wasmd does not listen: {said[-500:]}")
            time.sleep(0.01)
        if cpu is not None:
            self._move_to(cpu)

    def _move_to(self, cpu: int) -> None:
        """Until no thread is elsewhere: one that is not there yet may be making another."""
        elsewhere = True
        while elsewhere:
            elsewhere = False
            for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
                with contextlib.suppress(ProcessLookupError):
                    if os.sched_getaffinity(int(task.name)) != {cpu}:
                        elsewhere = True
                        os.sched_setaffinity(int(task.name), {cpu})

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        with ending(self._process):
            pass
        self._log.close()


class Bench:
    def __init__(self, build: pathlib.Path, scratch: pathlib.Path) -> None:
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            die("two CPUs are needed: one for each side")
        self.client, self.server = cpus[0], cpus[-1]
        self._floor = build / "bin/bench/ring_floor"
        self._probe = build / "bin/bench/ring_probe"
        self._wasmd = build / "bin/wasmd"
        self._iceoryx2 = cache_dir() / "peers/iceoryx2_peer/iceoryx2_peer"
        self._scratch = scratch
        self._module = scratch / "ring.wasm"
        self._module.write_bytes(ring_module())
        self._turn = 0

    def floors(self) -> dict[str, float]:
        """One turn of them."""
        probe = hand_off_probe_ns()
        if probe is None:
            die("the hand-off probe is missing")
        figures = {"probe_ns": probe}
        for mode in ("rtt", "window", "bytes", "wake"):
            figures |= run([self._floor, mode, self.client, self.server])
        figures |= run([self._floor, "futex", self.client])
        figures |= run([self._floor, "attach"])
        figures |= run([self._floor, "echo", CLIENTS, SERVING_THREADS])
        return figures

    def iceoryx2(self) -> dict[str, float]:
        self._turn += 1
        service = f"wasmd_bench_{os.getpid()}_{self._turn}"
        command = [self._iceoryx2, "server", service, 0]
        with ending(subprocess.Popen(on_cpu(self.server, command), stdout=subprocess.PIPE, text=True)) as server:
            wait_for_line(server, "iceoryx2_peer")
            return run([self._iceoryx2, "client", service, ICEORYX2_ROUND_TRIPS], self.client)

    def _daemon(self, **where: int) -> Daemon:
        return Daemon(self._wasmd, self._scratch, **where)

    def _calls(self, daemon: Daemon, *mode: object) -> dict[str, float]:
        return run([self._probe, daemon.address, self._module, *mode])

    def calls(self) -> dict[str, float]:
        """One turn of what the daemon does."""
        figures: dict[str, float] = {}
        with self._daemon(cpu=self.server) as daemon:
            for mode in ("rtt", "window", "bytes", "asleep"):
                figures |= self._calls(daemon, mode, self.client)
        with self._daemon(only_cpu=self.client) as daemon:
            figures |= self._calls(daemon, "cold", "one_cpu", self.client)
        with self._daemon() as daemon:
            figures |= self._calls(daemon, "attach")
            figures |= self._calls(daemon, "many", CLIENTS)
            figures |= self._calls(daemon, "grpc", GRPC_THREADS)
        return figures

    def idle_cpu_percent(self) -> float:
        with self._daemon() as daemon:
            command = [self._probe, daemon.address, self._module, "idle", IDLE_CLIENTS]
            clients = subprocess.Popen(on_cpu(None, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            with ending(clients):
                wait_for_line(clients, "ring_probe")
                time.sleep(1)  # What attaching left to do is no idleness.
                start, before = time.monotonic(), daemon.cpu_seconds()
                time.sleep(IDLE_S)
                return 100 * (daemon.cpu_seconds() - before) / (time.monotonic() - start)


def best_window(figures: dict[str, object], side: str) -> tuple[int, float] | None:
    rates = [(float(figures[key]), window) for window in WINDOWS if (key := f"{side}_window_{window}_per_s") in figures]
    return (max(rates)[1], max(rates)[0]) if rates else None


# (title, ours, its floor or what it is compared with, goal for p50: the floor + ns; or a number)
TIMES = [
    ("no-op call, both sides hot", "call_rtt", "floor_rtt", ("+", 100.0)),
    ("client and daemon on one CPU", "one_cpu", "futex_one_cpu", ("=", 7_000.0)),
    ("daemon and client asleep", "asleep", "wake", ("+", 5_000.0)),
    ("attach a channel", "attach", "floor_attach", ("=", 150_000.0)),
]


def report(figures: dict[str, object]) -> None:
    def get(key: str) -> float | None:
        return float(figures[key]) if key in figures else None

    def ratio(mine: float | None, floor: float | None) -> float | None:
        return mine / floor if mine is not None and floor else None

    def holds(good: bool | None) -> str | None:
        return None if good is None else "yes" if good else "NO"

    rows: list[list[object]] = []
    for title, ours, floor, (kind, limit) in TIMES:
        mine, base = get(f"{ours}_p50_ns"), get(f"{floor}_p50_ns")
        goal = limit + (base or 0.0) if kind == "+" else limit
        rows.append([title, mine, get(f"{ours}_p99_ns"), base, get(f"{floor}_p99_ns"), ratio(mine, base), goal,
                     holds(None if mine is None else mine <= goal)])  # fmt: skip
    rows.append(["gRPC, no-op call", get("grpc_unary_p50_ns"), get("grpc_unary_p99_ns")] + [None] * 5)
    rows.append(["iceoryx2, request and response", get("iceoryx2_rtt_p50_ns"), get("iceoryx2_rtt_p99_ns")] + [None] * 5)
    table(["ns", "p50", "p99", "floor p50", "floor p99", "× floor", "goal p50", "holds"], rows)

    near = float(figures["probe_ns"]) < FAR_FROM_NS
    rows = []
    mine_at, floor_at = get("call_window_count"), get("floor_window_count")
    for title, ours, floor, goal in [
        (f"no-op calls, window {mine_at or 0:.0f} (floor {floor_at or 0:.0f})", "call_window_per_s", "floor_window_per_s", 10e6 if near else 4e6),
        ("1 KiB in and out, window 64", "bytes1k_per_s", "floor_bytes1k_per_s", 3e6 if near else None),
        (f"{CLIENTS} clients, window 64", "call16_per_s", "echo16_per_s", 0.8 * (get("echo16_per_s") or 0.0)),
        (f"gRPC, {GRPC_THREADS} in flight", "grpc_c64_per_s", None, None),
    ]:
        mine, base = get(ours), get(floor) if floor else None
        rows.append([title, *(value / 1e6 if value is not None else None for value in (mine, base)), ratio(mine, base),
                     goal / 1e6 if goal else None, holds(mine >= goal if mine is not None and goal else None)])  # fmt: skip
    table(["M/s", "here", "floor", "× floor", "goal", "holds"], rows)

    rows = []
    slowest = get("call16_slowest_over_mean")
    rows.append([f"slowest of {CLIENTS} clients, % of the mean", *(100 * value if value is not None else None for value in (slowest, get("echo16_slowest_over_mean"))),
                 50.0, holds(None if slowest is None else slowest >= 0.5)])  # fmt: skip
    rows.append([f"CPU of a daemon with {IDLE_CLIENTS} idle clients, %", get("idle_cpu_percent"), None, None, None])
    table(["", "here", "floor", "goal", "holds"], rows)


def main() -> None:
    options = parse(__doc__, repetitions=5)
    fetch("iceoryx2_peer")
    needed = ["bin/bench/ring_floor"] + ([] if options.peers_only else ["bin/bench/ring_probe", "bin/wasmd"])
    with tempfile.TemporaryDirectory(prefix="wasmd-bench-") as scratch:
        bench = Bench(build_dir(options, *needed), pathlib.Path(scratch))
        turns: list[dict[str, float]] = []
        for _ in range(options.repetitions):
            turns.append(bench.floors() | bench.iceoryx2() | ({} if options.peers_only else bench.calls()))
        figures: dict[str, object] = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
        if not options.peers_only:
            figures["idle_cpu_percent"] = bench.idle_cpu_percent()
    for side in ("floor", "call"):
        if best := best_window(figures, side):
            figures[f"{side}_window_count"], figures[f"{side}_window_per_s"] = best
    figures |= {"cpus_count": os.cpu_count(), "client_cpu": bench.client, "daemon_cpu": bench.server}

    print(
        f"hand-off of a cache line {figures['probe_ns']:.0f} ns one way (there and back {2 * float(figures['probe_ns']):.0f}), "
        f"{figures['cpus_count']} CPUs; hot and asleep: client on CPU {bench.client}, other side on CPU {bench.server}; "
        f"one CPU: both on CPU {bench.client}; attach, {CLIENTS} clients, gRPC, idle: not pinned\n"
    )
    report(figures)
    finish(options, figures)


if __name__ == "__main__":
    main()
