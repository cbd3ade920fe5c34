"""Clients of shared-memory channels that end at any step of their lives, or take more than their share."""

from __future__ import annotations

import json
import os
import pathlib
import random
import signal
import subprocess
import time

from harness import MIB, WATCHDOG_S, Daemon, E2eTest, bin_dir, main, note, status_bytes

# WASMD_CHANNEL_KILLS: how many clients are killed; scripts/test.sh --long kills more.
KILLS = int(os.environ.get("WASMD_CHANNEL_KILLS", "1000"))
AT_A_TIME = 4
STEPS = (
    "session", "half-attach-3", "half-attach-16", "half-attach-103", "attached", "bound", "submitted",
    "flushed", "in-call", "asleep", "calling", "shared",
)  # fmt: skip


class ChannelClient:
    def __init__(self, test: E2eTest, step: str, seconds: float = 0, daemon: Daemon | None = None) -> None:
        self.step = step
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", bin_dir() / "fault/channel_client",
             (daemon or test.daemon).address, test.module, step, str(seconds)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )  # fmt: skip

    def wait_until_there(self, test: E2eTest) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode().strip()
        test.assertEqual(line, self.step)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WATCHDOG_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def result(self, test: E2eTest) -> dict[str, float]:
        out, _ = self.process.communicate(timeout=WATCHDOG_S)
        test.assertEqual(self.process.returncode, 0, out)
        return json.loads(out)


class Channels(E2eTest):
    options: tuple[str, ...] = ("--workers", "2", "--max-user-channels", "300")

    def used(self) -> dict[str, int]:
        """What the daemon has of what may leak."""
        proc = pathlib.Path(f"/proc/{self.daemon.pid}")
        return {
            "descriptors": len(os.listdir(proc / "fd")),
            "segments": (proc / "maps").read_text().count("wasmd-channel"),
            "mappings": len((proc / "maps").read_text().splitlines()),
            # gRPC and abseil keep threads of their own as they like; ours have our name.
            "threads": sum(path.read_text().startswith("wasmd") for path in proc.glob("task/*/comm")),
            "memory": status_bytes(self.daemon.pid, "VmRSS"),
        }

    def settle(self, quiet: dict[str, int] | None = None) -> dict[str, int]:
        """Waits until the clients' sessions and channels are gone, and, if given, until the daemon uses
        what it did; spare threads end after ten seconds."""
        self.wait_for("no channels", lambda: self.stats()["channels"] == 0)
        self.wait_for("no sessions but wasmctl's", lambda: self.stats()["sessions"] <= 1)
        self.wait_until_idle()
        if quiet is not None:
            keys = ("descriptors", "segments", "threads")
            end = time.monotonic() + WATCHDOG_S
            while any(self.used()[key] > quiet[key] for key in keys) and time.monotonic() < end:
                time.sleep(0.1)
        return self.used()

    def assert_nothing_left(self, before: dict[str, int]) -> None:
        after = self.settle(before)
        for key in ("descriptors", "segments", "threads"):
            self.assertLessEqual(after[key], before[key], f"{key} before {before}, after {after}")
        # Instances keep mappings and pages for the next (docs/architecture.md), within bounds.
        self.assertLessEqual(after["mappings"], before["mappings"] + 64, f"{before} {after}")
        self.assertLessEqual(after["memory"], before["memory"] + 32 * MIB, f"{before} {after}")
        note(f"before {before}, after {after}")


class KilledChannels(Channels):
    def kill_many(self, count: int, seed: int) -> None:
        choice = random.Random(seed)
        alive: list[ChannelClient] = []
        for index in range(count):
            client = ChannelClient(self, choice.choice(STEPS))
            alive.append(client)
            if index % 3 == 0:  # Just anywhere on the way.
                time.sleep(choice.random() * 0.03)
            else:
                client.wait_until_there(self)
            if index % 4 == 1:
                client.process.send_signal(signal.SIGSTOP)
            if len(alive) == AT_A_TIME:
                alive.pop(choice.randrange(AT_A_TIME)).kill()
        for client in alive:
            client.kill()

    def test_nothing_is_left_of_killed_and_stopped_clients(self) -> None:
        self.kill_many(60, seed=1)
        before = self.settle()
        time.sleep(11)  # Spare threads.
        before = self.settle()
        start = time.monotonic()
        self.kill_many(KILLS, seed=2)
        note(f"{KILLS} clients killed in {time.monotonic() - start:.1f} s")
        self.assert_nothing_left(before)

    def test_stopped_clients_hold_nobody_up(self) -> None:
        stopped = [ChannelClient(self, step) for step in ("flushed", "in-call", "asleep", "calling")]
        for client in stopped:
            client.wait_until_there(self)
            client.process.send_signal(signal.SIGSTOP)
        try:
            polite = ChannelClient(self, "polite", 0.5).result(self)
            self.assertGreater(polite["calls"], 50)
        finally:
            for client in stopped:
                client.kill()


class HalfOpenChannels(Channels):
    def test_attaches_that_go_no_further_are_closed(self) -> None:
        ChannelClient(self, "polite", 0.1).result(self)  # The module is there, with the threads for it.
        before = self.settle()
        clients = [ChannelClient(self, f"half-attach-{bytes_}") for bytes_ in (1, 4, 17, 100)]
        for client in clients:
            client.wait_until_there(self)
        # The daemon closes such connections after five seconds; their sessions last.
        self.wait_for(
            "silent connections are closed",
            lambda: self.stats()["connections"] <= 2 * len(clients) + 1,
        )
        for client in clients:
            client.kill()
        self.assert_nothing_left(before)

    def test_what_a_user_may_have_is_limited(self) -> None:
        clients = [ChannelClient(self, "idle") for _ in range(4)]
        for client in clients:
            client.wait_until_there(self)
        refused = [ChannelClient(self, "idle") for _ in range(4)]
        said = [client.process.communicate(timeout=WATCHDOG_S)[0] for client in refused]
        self.assertTrue(all(b"--max-user-channel" in words for words in said), said)
        for client in clients:
            client.kill()
        self.wait_for("no channels", lambda: self.stats()["channels"] == 0)
        ChannelClient(self, "polite", 0.1).result(self)


class SharedChannels(Channels):
    options = ("--workers", "1")

    def test_one_that_floods_leaves_the_others_their_turn(self) -> None:
        flooding = ChannelClient(self, "flood", 4)
        polite = [ChannelClient(self, "polite", 2) for _ in range(9)]
        results = [client.result(self) for client in polite]
        flood = flooding.result(self)
        for result in results:
            self.assertGreater(result["calls"], 10, results)
        note(
            f"one client floods with {flood['calls'] / 4:.0f} calls a second; nine polite ones: "
            f"p50 {max(r['p50_us'] for r in results):.1f} us, longest {max(r['max_us'] for r in results):.0f} us"
        )


if __name__ == "__main__":
    main()
