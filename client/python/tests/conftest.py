"""A real daemon for the tests. $WASMD names its binary, $WASMD_GUESTS the folder of the guest programs."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest

import wasmd


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wasmd-python-") as folder:
        (pathlib.Path(folder) / "shared").mkdir()
        path = f"{folder}/wasmd.sock"
        log = open(f"{folder}/log", "wb")
        daemon = subprocess.Popen(
            [os.environ["WASMD"], "--listen", f"unix:{path}", "--root", f"shared={folder}/shared"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    with socket.socket(socket.AF_UNIX) as probe:
                        probe.connect(path)
                        break
                except OSError:
                    assert daemon.poll() is None, pathlib.Path(log.name).read_text()
                    assert time.monotonic() < deadline, "the daemon does not listen"
                    time.sleep(0.01)
            yield f"unix:{path}"
            assert daemon.poll() is None, "the daemon died: " + pathlib.Path(log.name).read_text()
        finally:
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
            log.close()


@pytest.fixture
def client(address: str) -> Iterator[wasmd.Client]:
    with wasmd.connect(address) as client:
        yield client


@pytest.fixture(scope="session")
def wat(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    """Text to binary, by wabt."""
    folder = tmp_path_factory.mktemp("wat")

    def assemble(text: str) -> bytes:
        (folder / "m.wat").write_text(text)
        subprocess.run(["wat2wasm", "--debug-names", "m.wat", "-o", "m.wasm"], cwd=folder, check=True)
        return (folder / "m.wasm").read_bytes()

    return assemble


@pytest.fixture(scope="session")
def guest() -> Callable[[str], pathlib.Path]:
    folder = pathlib.Path(os.environ["WASMD_GUESTS"])

    def find(name: str) -> pathlib.Path:
        return folder / f"{name}.wasm"

    return find
