"""Generates the wire's code into the package while it is built; everything else is in pyproject.toml."""

from __future__ import annotations

import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
# In the repository the schema is where everybody shares it; a source distribution brings a copy along.
PROTO_ROOTS = (HERE / "proto", HERE.parent.parent / "proto")


def proto_root() -> pathlib.Path:
    for root in PROTO_ROOTS:
        if (root / "wasmd" / "v1").is_dir():
            return root
    raise SystemExit("wasmd/v1/*.proto: found neither here nor in the repository")


def generate(target: pathlib.Path) -> None:
    from grpc_tools import protoc  # A requirement of the build, not of setup.py itself.

    root = proto_root()
    files = sorted((root / "wasmd" / "v1").glob("*.proto"))
    for folder in (target / "wasmd", target / "wasmd" / "v1"):
        folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        "protoc",
        f"--proto_path={root}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
        *[str(file) for file in files],
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")
    (target / "wasmd" / "v1" / "__init__.py").write_text('"""The wire, generated from proto/wasmd/v1."""\n')


class BuildPy(build_py):
    def run(self) -> None:
        super().run()
        # An editable install runs from the source folder, so the code goes there. (.gitignore has it.)
        generate(HERE / "src" if self.editable_mode else pathlib.Path(self.build_lib))


class Sdist(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        target = pathlib.Path(base_dir) / "proto" / "wasmd" / "v1"
        target.mkdir(parents=True, exist_ok=True)
        for file in (proto_root() / "wasmd" / "v1").glob("*.proto"):
            shutil.copy(file, target)


setup(cmdclass={"build_py": BuildPy, "sdist": Sdist})
