"""The .proto lint finds each thing that it is there for, and passes a file without any."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / ".ci" / "lint_proto.py"
GOOD = """syntax = "proto3";

package wasmd.v1;

import "wasmd/v1/other.proto";  // A comment that belongs to no message.

// Serves modules.
service ModuleService {
  // Adds one.
  rpc Add(stream AddRequest) returns (AddResponse);
  // Takes one away.
  rpc Remove(RemoveRequest) returns (RemoveResponse) {
    option deprecated = true;
  }
}

message AddRequest {
  oneof body {
    string name = 1;
    bytes chunk = 2 [deprecated = true];
  }
  reserved 3, 4 to 6;
}
message AddResponse {
  map<string, ModuleKind> kinds = 1;
  repeated uint32 sizes_bytes = 2;
}
message RemoveRequest {}
message RemoveResponse {}

// What a module is.
enum ModuleKind {
  MODULE_KIND_UNSPECIFIED = 0;
  MODULE_KIND_COMMAND = 1;
}
"""


class LintProtoTest(unittest.TestCase):
    def lint(self, text: str, path: str = "proto/wasmd/v1/module.proto") -> tuple[int, str]:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / path
            file.parent.mkdir(parents=True)
            file.write_text(text, encoding="utf-8")
            done = subprocess.run([sys.executable, TOOL, "--root", folder], capture_output=True, text=True, check=False)
            return done.returncode, done.stdout

    def test_good_file(self) -> None:
        self.assertEqual(self.lint(GOOD), (0, "1 .proto files checked, 0 problems\n"))

    def test_no_file_is_no_success(self) -> None:
        self.assertEqual(self.lint(GOOD, "elsewhere/a.proto")[0], 1)

    def test_each_rule(self) -> None:
        cases = [
            ("SYNTAX_SPECIFIED", 'syntax = "proto3";', 'syntax = "proto2";'),
            ("PACKAGE_VERSION_SUFFIX", "package wasmd.v1;", "package wasmd;"),
            ("PACKAGE_DIRECTORY_MATCH", "package wasmd.v1;", "package wasmd.v2;"),
            ("PACKAGE_DEFINED", "package wasmd.v1;", ""),
            ("IMPORT_NO_PUBLIC", 'import "', 'import public "'),
            ("SERVICE_SUFFIX", "ModuleService", "Modules"),
            ("COMMENT_SERVICE", "// Serves modules.\n", ""),
            ("COMMENT_RPC", "  // Adds one.\n", ""),
            ("COMMENT_ENUM", "// What a module is.\n", ""),
            ("COMMENT_MESSAGE", "message AddRequest {", "message Unused {}\nmessage AddRequest {"),
            ("RPC_PASCAL_CASE", "rpc Add(", "rpc add("),
            ("RPC_REQUEST_STANDARD_NAME", "(stream AddRequest)", "(stream Added)"),
            ("RPC_RESPONSE_STANDARD_NAME", "returns (AddResponse)", "returns (Added)"),
            ("RPC_REQUEST_RESPONSE_UNIQUE", "rpc Remove(RemoveRequest)", "rpc Remove(AddRequest)"),
            ("MESSAGE_PASCAL_CASE", "message RemoveRequest", "message removeRequest"),
            ("FIELD_LOWER_SNAKE_CASE", "string name", "string Name"),
            ("ONEOF_LOWER_SNAKE_CASE", "oneof body", "oneof Body"),
            ("ENUM_PASCAL_CASE", "enum ModuleKind", "enum Module_Kind"),
            ("ENUM_VALUE_PREFIX", "MODULE_KIND_COMMAND", "KIND_COMMAND"),
            ("ENUM_VALUE_UPPER_SNAKE_CASE", "MODULE_KIND_COMMAND", "MODULE_KIND_Command"),
            ("ENUM_ZERO_VALUE_SUFFIX", "MODULE_KIND_UNSPECIFIED", "MODULE_KIND_NONE"),
            ("ENUM_FIRST_VALUE_ZERO", "_UNSPECIFIED = 0", "_UNSPECIFIED = 2"),
            ("ENUM_NO_ALLOW_ALIAS", "enum ModuleKind {", "enum ModuleKind {\n  option allow_alias = true;"),
            ("SYNTAX", "message RemoveResponse {}", "message RemoveResponse {"),
        ]
        for rule, old, new in cases:
            with self.subTest(rule):
                self.assertIn(old, GOOD)
                status, out = self.lint(GOOD.replace(old, new, 1))
                self.assertEqual(status, 1, out)
                self.assertIn(f"{rule}:", out)


if __name__ == "__main__":
    unittest.main()
