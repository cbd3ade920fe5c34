"""Nothing of a guest is left to the next one's, whoever's it is and however it is called."""

from __future__ import annotations

import os
import random

from harness import E2eTest, bin_dir, main, note, run_process

# WASMD_ISOLATION_ROUNDS: how often one tenant fills and another scans, each way.
ROUNDS = int(os.environ.get("WASMD_ISOLATION_ROUNDS", "3000"))


class Tenants(E2eTest):
    options = ("--workers", "2")

    def rounds(self, way: str) -> None:
        seed = os.environ.get("WASMD_ISOLATION_SEED", str(random.randrange(1 << 32)))
        ended = run_process(
            [str(bin_dir() / "fault/tenant_client"), self.daemon.address, way, str(ROUNDS), seed]
        )
        self.assertEqual(ended.code, 0, f"WASMD_ISOLATION_SEED={seed}: {ended.stdout.decode()}{ended.stderr}")
        note(f"{ended.stdout.decode().strip()}, {ended.seconds:.1f} s")

    def test_fresh_instances_over_shared_memory(self) -> None:
        self.rounds("ring")

    def test_fresh_instances_by_grpc(self) -> None:
        self.rounds("grpc")

    def test_byte_strings(self) -> None:
        self.rounds("bytes")


if __name__ == "__main__":
    main()
