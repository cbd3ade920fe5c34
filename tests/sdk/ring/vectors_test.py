"""proto/vectors is what proto/ring/LAYOUT.md says.

Knows the page and not the headers: the fields below are its tables, and the codec is the page's own. A library in another
language has a test like this one.
"""

import json
import re
import struct
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
VECTORS = ROOT / "proto" / "vectors"
PAGE = (ROOT / "proto" / "ring" / "LAYOUT.md").read_text(encoding="utf-8")
INDEX = json.loads((VECTORS / "vectors.json").read_text(encoding="utf-8"))

# Name, offset, letter of struct (Q is hexadecimal text in the JSON).
SUBMISSION = [("sequence", 0, "I"), ("kind", 4, "B"), ("words", 5, "B"), ("flags", 6, "H"), ("func", 8, "I"), ("tag", 12, "I"),
              ("deadline_ns", 16, "Q"), ("payload", 24, "4Q"), ("cancel", 56, "Q")]  # fmt: skip
COMPLETION = [("sequence", 0, "I"), ("kind", 4, "B"), ("words", 5, "B"), ("code", 6, "H"), ("tag", 8, "I"), ("reserved", 12, "I"),
              ("detail", 16, "Q"), ("payload", 24, "4Q"), ("reserved2", 56, "Q")]  # fmt: skip
FRAME = [("magic", 0, "4s"), ("version", 4, "H"), ("type", 6, "H"), ("payload_bytes", 8, "I"), ("reserved", 12, "I")]
REQUEST = [("session_token", 16, "64s"), ("layout_version", 80, "I"), ("slots", 84, "I"), ("arena_bytes", 88, "Q"),
           ("features", 96, "Q")]  # fmt: skip
REPLY = [("channel", 16, "Q"), ("layout_version", 24, "I"), ("slots", 28, "I"), ("arena_bytes", 32, "Q"), ("features", 40, "Q"),
         ("segment_bytes", 48, "Q"), ("clock_ns", 56, "Q")]  # fmt: skip
HEADER = [("magic", 0, "Q"), ("layout_version", 8, "I"), ("header_bytes", 12, "I"), ("features", 16, "Q"), ("slots", 24, "I"),
          ("slot_bytes", 28, "I"), ("submissions_offset", 32, "Q"), ("completions_offset", 40, "Q"), ("arena_offset", 48, "Q"),
          ("arena_bytes", 56, "Q"), ("client_state", 64, "I"), ("client_cpu", 68, "I"), ("daemon_state", 128, "I"),
          ("daemon_cpu", 132, "I")]  # fmt: skip
ARENA_CALL = [("input_offset", 24, "Q"), ("input_bytes", 32, "Q"), ("output_offset", 40, "Q"), ("output_capacity", 48, "Q")]


def decode(table: list, data: bytes) -> dict:
    fields = {}
    for name, offset, letter in table:
        values = struct.unpack_from("<" + letter, data, offset)
        if letter.endswith("s"):
            fields[name] = values[0].decode("ascii")
        elif letter.endswith("Q"):
            texts = [f"0x{value:016x}" for value in values]
            fields[name] = texts[0] if letter == "Q" else texts
        else:
            fields[name] = values[0]
    return fields


def encode(table: list, fields: dict, data: bytearray) -> None:
    for name, offset, letter in table:
        value = fields[name]
        if letter.endswith("s"):
            value = [value.encode("ascii")]
        elif letter.endswith("Q"):
            value = [int(text, 16) for text in (value if isinstance(value, list) else [value])]
        else:
            value = [value]
        struct.pack_into("<" + letter, data, offset, *value)


def words_of(values: list) -> list[int]:
    words = []
    for value in values:
        match value["type"]:
            case "i32":
                words.append(value["value"] & 0xFFFFFFFF)
            case "i64":
                words.append(int(value["value"]) & 0xFFFFFFFFFFFFFFFF)
            case "f32" | "f64":
                words.append(int(value["bits"], 16))
            case "v128":
                words += struct.unpack("<2Q", bytes.fromhex(value["bytes"]))
            case other:
                raise ValueError(other)
    return words


def values_of(types: list[str], words: list[int]) -> list:
    words = list(words)
    values = []
    for kind in types:
        word = words.pop(0)
        match kind:
            case "i32":
                values.append({"type": kind, "value": struct.unpack("<i", struct.pack("<Q", word)[:4])[0]})
            case "i64":
                values.append({"type": kind, "value": str(struct.unpack("<q", struct.pack("<Q", word))[0])})
            case "f32":
                values.append({"type": kind, "bits": f"0x{word & 0xFFFFFFFF:08x}"})
            case "f64":
                values.append({"type": kind, "bits": f"0x{word:016x}"})
            case "v128":
                values.append({"type": kind, "bytes": struct.pack("<2Q", word, words.pop(0)).hex()})
    return values


def number_of(vector: dict) -> int:
    return int(vector["number"], 16)


class VectorsTest(unittest.TestCase):
    def each(self, *kinds: str) -> list[tuple[dict, bytes]]:
        found = [(vector, (VECTORS / vector["file"]).read_bytes()) for vector in INDEX["vectors"] if vector["kind"] in kinds]
        self.assertTrue(found)
        return found

    def check(self, table: list, fields: dict, data: bytes) -> None:
        """`fields` has what the table has, `data` says the same, and there is nothing in it but that."""
        self.assertEqual(decode(table, data), fields)
        again = bytearray(len(data))
        encode(table, fields, again)
        self.assertEqual(bytes(again), data)

    def test_index_names_every_file(self) -> None:
        self.assertEqual(INDEX["layout_version"], 1)
        self.assertEqual(INDEX["attach_version"], 1)
        named = [vector["file"] for vector in INDEX["vectors"]]
        self.assertEqual(sorted([*named, "vectors.json"]), sorted(file.name for file in VECTORS.iterdir()))

    def test_frames(self) -> None:
        sizes = {"attach_request": (16, 88, REQUEST), "attach_reply": (17, 48, REPLY)}
        for vector, data in self.each("attach_request", "attach_reply"):
            with self.subTest(vector["name"]):
                kind, payload_bytes, table = sizes[vector["kind"]]
                self.assertEqual(vector["header"]["type"], kind)
                self.assertEqual(vector["header"]["payload_bytes"], payload_bytes)
                self.assertEqual(len(data), 16 + payload_bytes)
                self.check(FRAME + table, vector["header"] | vector["fields"], data)

    def test_error_frame(self) -> None:
        for vector, data in self.each("attach_error"):
            with self.subTest(vector["name"]):
                self.assertEqual(decode(FRAME, data), vector["header"])
                self.assertEqual(vector["header"]["type"], 18)
                self.assertEqual(data[16:].decode("utf-8"), vector["fields"]["text"])
                self.assertEqual(len(data) - 16, vector["header"]["payload_bytes"])

    def test_reply_has_the_size_of_its_parts(self) -> None:
        for vector, _ in self.each("attach_reply"):
            with self.subTest(vector["name"]):
                fields = vector["fields"]
                arena_offset = -(-(4096 + 2 * 64 * fields["slots"]) // 4096) * 4096
                self.assertEqual(int(fields["segment_bytes"], 16), arena_offset + int(fields["arena_bytes"], 16))

    def test_segment_headers(self) -> None:
        for vector, data in self.each("segment_header"):
            with self.subTest(vector["name"]):
                self.assertEqual(len(data), 4096)
                self.assertEqual(data[:8], b"WSMDRING")
                self.check(HEADER, vector["fields"], data)
                fields = vector["fields"]
                self.assertEqual(int(fields["completions_offset"], 16), 4096 + 64 * fields["slots"])
                self.assertEqual(int(fields["arena_offset"], 16), -(-(4096 + 128 * fields["slots"]) // 4096) * 4096)

    def test_slots(self) -> None:
        tables = {"submission": SUBMISSION, "completion": COMPLETION}
        for vector, data in self.each("submission", "completion"):
            with self.subTest(vector["name"]):
                self.assertEqual(len(data), 64)
                self.check(tables[vector["kind"]], vector["fields"], data)
                self.assertEqual(vector["fields"]["sequence"], (number_of(vector) + 1) % 2**32)
                if "arena_call" in vector:
                    self.assertEqual(decode(ARENA_CALL, data), vector["arena_call"])
                    self.assertEqual(vector["fields"]["words"], 4)

    def test_values(self) -> None:
        for vector, _ in self.each("submission", "completion"):
            with self.subTest(vector["name"]):
                if "values" not in vector:
                    continue
                payload = [int(word, 16) for word in vector["fields"]["payload"]]
                words = words_of(vector["values"])
                self.assertEqual(words, payload[: len(words)])
                self.assertEqual(len(words), vector["fields"]["words"])
                self.assertEqual(payload[len(words) :], [0] * (4 - len(words)))
                self.assertEqual(values_of([value["type"] for value in vector["values"]], payload), vector["values"])

    def test_segments(self) -> None:
        for vector, data in self.each("segment"):
            with self.subTest(vector["name"]):
                slots = vector["fields"]["slots"]
                first = int(vector["first_number"], 16)
                again = bytearray(len(data))
                encode(HEADER, vector["fields"], again)
                for name, table, offset, count in (
                    ("submissions", SUBMISSION, 4096, vector["submitted"]),
                    ("completions", COMPLETION, 4096 + 64 * slots, vector["completed"]),
                ):
                    self.assertEqual(len(vector[name]), slots)
                    for i, fields in enumerate(vector[name]):
                        self.assertEqual(decode(table, data[offset + 64 * i :]), fields)
                        slot = bytearray(64)
                        encode(table, fields, slot)
                        again[offset + 64 * i : offset + 64 * i + 64] = slot
                    # The last `slots` messages are there, each where its number says.
                    for number in range(first + count - slots, first + count):
                        self.assertEqual(vector[name][number % slots]["sequence"], (number + 1) % 2**32)
                self.assertEqual(bytes(again), data)


class PageTest(unittest.TestCase):
    """The page's own program and dumps."""

    @classmethod
    def setUpClass(cls) -> None:
        (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
        cls.page = {}
        exec(compile(code, "LAYOUT.md", "exec"), cls.page)  # noqa: S102

    def test_dumps_are_the_vectors(self) -> None:
        dumps = re.findall(r"```text (\S+\.bin)\n(.*?)```", PAGE, re.DOTALL)
        self.assertGreater(len(dumps), 3)
        for name, dump in dumps:
            data = (VECTORS / name).read_bytes()
            lines = [f"{i:04x}  {data[i : i + 16].hex(' ')}" for i in range(0, len(data), 16)]
            self.assertEqual(dump.splitlines(), lines, name)

    def test_client_submits_the_vectors(self) -> None:
        for vector in INDEX["vectors"]:
            if vector["kind"] != "submission":
                continue
            with self.subTest(vector["name"]):
                fields = vector["fields"]
                segment = bytearray(8192)
                rings = []
                client = self.page["Client"](segment, 4, lambda rings=rings: rings.append(1), first=number_of(vector))
                payload = [int(word, 16) for word in fields["payload"]][: fields["words"]]
                number = client.submit(fields["kind"], fields["func"], payload, fields["tag"], fields["flags"],
                                       int(fields["deadline_ns"], 16))  # fmt: skip
                cancels = fields["cancel"] != "0x0000000000000000"
                if cancels:
                    client.cancel(number)
                client.flush()
                self.assertEqual(len(rings), 2 if cancels else 1)
                at = 4096 + number % 4 * 64
                self.assertEqual(segment[at : at + 64], (VECTORS / vector["file"]).read_bytes())
                self.assertEqual(sum(segment), sum(segment[at : at + 64]))

    def test_client_takes_the_vectors(self) -> None:
        for vector in INDEX["vectors"]:
            if vector["kind"] != "completion":
                continue
            with self.subTest(vector["name"]):
                number = number_of(vector)
                segment = bytearray(8192)
                client = self.page["Client"](segment, 4, None, first=number)
                self.assertIsNone(client.take())
                at = 4096 + 4 * 64 + number % 4 * 64
                segment[at : at + 64] = (VECTORS / vector["file"]).read_bytes()
                sequence, kind, words, code, tag, _, detail, *payload, _ = client.take()
                fields = vector["fields"]
                self.assertEqual([sequence, kind, words, code, tag],
                                 [fields[name] for name in ("sequence", "kind", "words", "code", "tag")])  # fmt: skip
                self.assertEqual(detail, int(fields["detail"], 16))
                self.assertEqual(payload, [int(word, 16) for word in fields["payload"]])
                self.assertIsNone(client.take())

    def test_client_reads_a_ring_that_has_wrapped(self) -> None:
        for vector in INDEX["vectors"]:
            if vector["kind"] != "segment":
                continue
            with self.subTest(vector["name"]):
                first = int(vector["first_number"], 16)
                segment = bytearray((VECTORS / vector["file"]).read_bytes())
                client = self.page["Client"](segment, 4, None, first=first)
                client.submitted += vector["submitted"]
                client.completed += vector["consumed"]
                tags = []
                while (completion := client.take()) is not None:
                    tags.append(completion[4])
                expected = [(first + i) * 10 % 2**32 for i in range(vector["consumed"], vector["completed"])]
                self.assertEqual(tags, expected)

    def test_client_sleeps_until_it_is_answered(self) -> None:
        segment = bytearray(8192)
        client = self.page["Client"](segment, 4, lambda: None)
        client.submit(1, 7, [])
        slept = []

        def futex_wait(offset: int, expected: int, timeout: float) -> None:
            self.assertEqual(struct.unpack_from("<I", segment, offset)[0], expected)
            slept.append((offset, timeout))
            if len(slept) == 3:  # The first two end by their time limit.
                at = 4096 + 4 * 64
                segment[at : at + 64] = (VECTORS / "returned_i32.bin").read_bytes()

        completion = client.wait(futex_wait)
        self.assertEqual(completion[7], 0xFFFFFFFB)
        self.assertEqual(slept, [(64, 0.001)] * 3)
        self.assertEqual(segment[64:68], bytes(4))


if __name__ == "__main__":
    unittest.main()
