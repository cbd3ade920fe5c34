"""The layer check refuses what the table does not allow, and a folder that it does not name."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / ".ci" / "check_layers.py"
TABLE = """
[folder."engine/base"]
third = ["absl"]
[folder."engine/wasm"]
may = ["engine/base"]
[folder."engine/api"]
may = ["engine/*"]
[folder."tests"]
tests = true
"""


class CheckLayersTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write(".ci/layers.toml", TABLE)
        self.write("engine/base/check.h", "#include <vector>\n#include <stdint.h>\n")
        self.write("engine/wasm/module.h", '#include "engine/base/check.h"\n')

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def run_tool(self) -> tuple[int, str]:
        done = subprocess.run([sys.executable, TOOL, "--root", self.root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    def refused(self, path: str, line: str, reason: str) -> None:
        self.write(path, line + "\n")
        status, out = self.run_tool()
        self.assertEqual(status, 1, out)
        self.assertIn(reason, out)
        self.assertIn("1 problems", out)

    def test_allowed_tree_passes(self) -> None:
        self.write("engine/api/engine.h", '#include "engine/wasm/module.h"\n')
        self.write("engine/wasm/handler_inside.cc", "#include <signal.h>\n#include <sys/mman.h>\n")
        self.write("engine/base/status.h", '#include "absl/status/status.h"\n')
        self.write("tests/unit/engine/wasm/a_test.cc", '#include "engine/wasm/module.h"\n#include <sys/mman.h>\n')
        self.assertEqual(self.run_tool(), (0, "6 files checked, 0 problems\n"))

    def test_upward_include(self) -> None:
        self.refused("engine/base/a.cc", '#include "engine/wasm/module.h"', "engine/base may not include engine/wasm")

    def test_indented_include_counts(self) -> None:
        self.refused("engine/base/a.cc", '  #  include "engine/wasm/module.h"', "engine/base may not include engine/wasm")

    def test_third_party(self) -> None:
        self.refused("engine/wasm/a.cc", "#include <asmjit/asmjit.h>", "engine/wasm may not include asmjit")

    def test_os_call(self) -> None:
        self.refused("engine/wasm/a.cc", "#include <sys/mman.h>", "engine/wasm makes no OS calls")

    def test_folder_without_row(self) -> None:
        self.refused("engine/new/a.cc", "#include <vector>", "folder engine/new has no row")

    def test_relative_and_missing_includes(self) -> None:
        self.refused("engine/wasm/a.cc", '#include "module.h"', "not a full path")
        self.refused("engine/wasm/a.cc", '#include "engine/base/gone.h"', "no such file")

    def test_empty_tree_is_no_success(self) -> None:
        for file in self.root.rglob("*.h"):
            file.unlink()
        self.assertEqual(self.run_tool()[0], 1)


if __name__ == "__main__":
    unittest.main()
