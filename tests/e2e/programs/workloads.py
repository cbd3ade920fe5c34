"""What the real programs are asked to do, and with which files, arguments and input.

A workload is one or more steps in the same folder; the folder's content at the end is compared too.
Nothing here may depend on time, random numbers, inode numbers or the order of directory entries:
what two engines print must be equal byte for byte.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import zipfile
import io
from typing import Callable

from engines import cache_dir


@dataclasses.dataclass
class Step:
    args: list[str]
    stdin: bytes | Callable[[], bytes] | None = None
    code: int = 0  # What wasmtime must exit with, so that a workload tests what it means to.
    stdin_pipe: bool = True  # False: stdin is an open file.

    def input(self) -> bytes | None:
        return self.stdin() if callable(self.stdin) else self.stdin


@dataclasses.dataclass
class Workload:
    program: str
    name: str
    steps: list[Step]
    # Path below the folder that the guest sees, and content.
    files: dict[str, bytes] | Callable[[], dict[str, bytes]] = dataclasses.field(default_factory=dict)
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    guest_dir: str | None = "/"  # Where the guest sees the folder; None: it sees no folder.
    native: bool = True  # Whether a native build can do the same, where there is one.
    timeout_s: float = 120.0
    # What has to be there at the end, with at least so many bytes: a check of the workload itself.
    at_least_bytes: dict[str, int] = dataclasses.field(default_factory=dict)

    def content(self) -> dict[str, bytes]:
        return self.files() if callable(self.files) else self.files


# --- Input, the same in each run. ---

_WORDS = (
    "the of module memory a function value and table to instance import export is trap stack global "
    "page in offset local block branch signal daemon client ring slot session handle descriptor"
).split()


@functools.lru_cache(maxsize=None)
def text(size: int, seed: int = 1) -> bytes:
    """Lines of words with numbers in between."""
    source = random.Random(seed)
    lines: list[str] = []
    total = 0
    while total < size:
        words = [
            str(source.randrange(10000)) if source.random() < 0.1 else source.choice(_WORDS)
            for _ in range(source.randrange(3, 14))
        ]
        line = " ".join(words)
        lines.append(line)
        total += len(line) + 1
    return ("\n".join(lines) + "\n").encode()[:size]


@functools.lru_cache(maxsize=None)
def noise(size: int, seed: int = 2) -> bytes:
    return random.Random(seed).randbytes(size)


@functools.lru_cache(maxsize=None)
def source_tree() -> dict[str, bytes]:
    """300 files in 30 folders that look like source code, with an ignore file and a binary."""
    files: dict[str, bytes] = {}
    for i in range(300):
        body = text(200 + i * 37, seed=i).decode()
        lines = [f"fn item_{i}_{j}() {{ {line} }}" for j, line in enumerate(body.splitlines())]
        files[f"src/m{i % 30:02d}/part{i:03d}.{'rs' if i % 3 else 'txt'}"] = ("\n".join(lines) + "\n").encode()
    files["src/.ignore"] = b"*.log\nm07/\n"
    files["src/build.log"] = b"trap trap trap\n"
    files["src/image.bin"] = b"\x00\x01trap\x00" * 500
    files["src/unicode.txt"] = "größe Ωmega trap naïve 日本語 trap\n".encode()
    return files


def go_source(name: str, spaced: bool) -> bytes:
    gap = "\n\n" if spaced else "\n"
    functions = "\n\n".join(
        f"func {name}{i}(a int,b  int) int {{{gap}\tvar  total = a*{i}+b\n\tif total>{i} {{\n\n\t\treturn total }}{gap}"
        f"\treturn  total-{i}{gap}}}"
        for i in range(60)
    )
    return f'package {name}\n\nimport (\n"os"\n"fmt"\n)\n\n{functions}\n\nfunc Use() {{ fmt.Println(os.Args) }}\n'.encode()


SQL_LARGE_CREATE = """
PRAGMA page_size=4096; PRAGMA cache_size=-8000;
CREATE TABLE item(id INTEGER PRIMARY KEY, kind INT NOT NULL, price REAL, name TEXT, body BLOB);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<150000)
INSERT INTO item SELECT i, (i*7919)%97, (i*31%1000)/10.0, printf('item-%06d-%x', i, i*40503%65536),
  CAST(printf('%.300c', char(97+i%26)) AS BLOB) FROM n;
COMMIT;
SELECT count(*), sum(length(body)) FROM item;
"""
SQL_LARGE_INDEX = """
CREATE INDEX by_kind ON item(kind, price);
CREATE UNIQUE INDEX by_name ON item(name);
ANALYZE;
SELECT name FROM sqlite_schema ORDER BY 1;
"""
SQL_LARGE_QUERY = """
SELECT kind, count(*), round(avg(price), 3), min(name), max(name) FROM item GROUP BY kind ORDER BY 2 DESC, 1;
SELECT id, price FROM item WHERE name='item-077777-9e31' OR name GLOB 'item-0000[1-3]*' ORDER BY id LIMIT 30;
SELECT a.id, b.id FROM item a JOIN item b ON b.kind=a.kind AND b.price=a.price AND b.id>a.id
  WHERE a.id<50 ORDER BY 1, 2 LIMIT 40;
EXPLAIN QUERY PLAN SELECT * FROM item WHERE kind=3 AND price>50;
"""
SQL_LARGE_CHANGE = """
BEGIN; UPDATE item SET price=price+1 WHERE kind%5=0; DELETE FROM item WHERE kind=13; COMMIT;
BEGIN; DELETE FROM item; SELECT count(*) FROM item; ROLLBACK;
SELECT count(*), round(sum(price), 2) FROM item; PRAGMA integrity_check; PRAGMA page_count;
"""
SQL_COMPUTE = b"""
WITH RECURSIVE c(x, y) AS (SELECT 0, 1 UNION ALL SELECT y, x+y FROM c LIMIT 60) SELECT max(x) FROM c;
WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i+1 FROM n WHERE i<3000),
 p(i) AS (SELECT i FROM n WHERE NOT EXISTS (SELECT 1 FROM n AS m WHERE m.i<n.i AND m.i*m.i<=n.i AND n.i%m.i=0))
SELECT count(*), sum(i), max(i) FROM p;
CREATE TABLE t(g TEXT, v INT);
INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)
 SELECT char(65+i*7%26), i*i%1009 FROM n;
SELECT g, v, rank() OVER (PARTITION BY g ORDER BY v DESC), sum(v) OVER (PARTITION BY g ORDER BY v ROWS 3 PRECEDING)
 FROM t ORDER BY g, v DESC, 4 LIMIT 60;
SELECT json_group_array(json_object('g', g, 'n', n)) FROM (SELECT g, count(*) n FROM t GROUP BY g ORDER BY g);
SELECT round(exp(1),9), round(sin(1),9), round(pow(2.5,3.5),6), hex('abc'), replace('xay','a','--'), 7/2, 7%-3, 1e308*10;
"""

PYTHON_FILES = b"""
import hashlib, json, os, sys
for n in range(40):
    os.makedirs(f'/out/d{n % 4}', exist_ok=True)
    with open(f'/out/d{n % 4}/f{n:02d}.json', 'w') as f:
        json.dump({'n': n, 'squares': [i * i for i in range(n)], 'name': 'x' * n}, f, sort_keys=True)
os.rename('/out/d0/f00.json', '/out/moved.json')
os.remove('/out/d1/f01.json')
total = hashlib.sha256()
for folder, folders, names in os.walk('/out'):
    folders.sort()
    for name in sorted(names):
        path = os.path.join(folder, name)
        data = open(path, 'rb').read()
        total.update(data)
        print(path, os.path.getsize(path), json.loads(data)['n'])
print(total.hexdigest())
try:
    open('/out/none/x')
except OSError as error:
    print(type(error).__name__, error.errno, error.strerror)
with open('/out/seek.bin', 'wb+') as f:
    f.truncate(100000); f.seek(50000); f.write(b'middle'); f.seek(-50006, 2); print(f.tell(), f.read(8))
"""
PYTHON_COMPUTE = b"""
import math, re, collections, itertools, decimal, zlib, random, statistics, struct
def pi(n):
    q, r, t, k, m, x = 1, 0, 1, 1, 3, 3
    out = []
    while len(out) < n:
        if 4 * q + r - t < m * t:
            out.append(str(m)); q, r, m = 10 * q, 10 * (r - m * t), (10 * (3 * q + r)) // t - 10 * m
        else:
            q, r, t, k, m, x = q * k, (2 * q + r) * x, t * x, k + 1, (q * (7 * k + 2) + r * x) // (t * x), x + 2
    return ''.join(out)
print(pi(300))
source = random.Random(5)
print([source.random() for _ in range(3)], source.sample(range(100), 5))
print(zlib.crc32(zlib.compress(b'wasm' * 10000, 9)), len(zlib.decompress(zlib.compress(b'x' * 99999))))
decimal.getcontext().prec = 50
print(decimal.Decimal(2).sqrt(), math.gamma(5.5), math.erf(0.3), 2 ** 1000 % 10 ** 20)
words = re.findall(r'[a-z]+', 'the quick brown fox jumps over the lazy dog ' * 200)
print(collections.Counter(words).most_common(3), statistics.pstdev(map(len, words)))
print(sum(1 for p in itertools.permutations(range(7)) if all(abs(p[i] - p[i + 1]) > 1 for i in range(6))))
print(struct.pack('>dIq', 1.5, 7, -9).hex(), f'{1 / 3:.30f}', float('inf') - float('inf'), 1e-320, round(2.675, 2))
class Tree:
    def __init__(self, d): self.l, self.r = (Tree(d - 1), Tree(d - 1)) if d else (None, None)
    def count(self): return 1 + (self.l.count() + self.r.count() if self.l else 0)
print(Tree(12).count())
"""
PYTHON_STDIN = b"""
import sys, collections, hashlib
data = sys.stdin.buffer.read()
print(len(data), hashlib.sha256(data).hexdigest())
for word, count in sorted(collections.Counter(data.split()).items(), key=lambda x: (-x[1], x[0]))[:15]:
    sys.stdout.buffer.write(b'%d %s\\n' % (count, word))
"""
PYTHON_ZIP = b"""
import csv, io, sqlite3, sys, zipfile
with zipfile.ZipFile('/in.zip') as z:
    print([(i.filename, i.file_size, i.CRC) for i in z.infolist()], z.testzip())
    rows = list(csv.DictReader(io.TextIOWrapper(z.open('rows.csv'), 'utf-8')))
db = sqlite3.connect('/rows.db')
db.execute('create table r(id integer primary key, word text, n int)')
db.executemany('insert into r values(:id, :word, :n)', rows)
db.commit()
db.close()
db = sqlite3.connect('/rows.db')
for row in db.execute('select word, count(*), sum(n) from r group by word order by 3 desc, 1 limit 10'): print(row)
"""
PYTHON_FAIL = b"""
import sys
def inner(n):
    if n == 0: raise ValueError('deep enough: \xc3\xa9')
    inner(n - 1)
print('before', flush=True)
inner(3)
"""


@functools.lru_cache(maxsize=None)
def rows_zip() -> bytes:
    source = random.Random(9)
    table = "id,word,n\n" + "".join(
        f"{i},{source.choice(_WORDS)},{source.randrange(1000)}\n" for i in range(5000)
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in (("rows.csv", table.encode()), ("noise.bin", noise(50000))):
            z.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


JS_FILES = b"""
import * as std from 'qjs:std';
import * as os from 'qjs:os';
os.mkdir('/out', 0o755);
for (let i = 0; i < 30; i++) {
  const f = std.open(`/out/f${String(i).padStart(2, '0')}.txt`, 'w');
  f.puts(JSON.stringify({i, text: 'y'.repeat(i * 11), list: Array.from({length: i}, (_, k) => k * k)}));
  f.close();
}
os.rename('/out/f00.txt', '/out/first.txt');
os.remove('/out/f01.txt');
const [names, error] = os.readdir('/out');
print(names.sort().join(' '), error);
let total = 0;
for (const name of names) if (name.endsWith('.txt')) total += JSON.parse(std.loadFile('/out/' + name)).list.length;
print(total, std.loadFile('/none'), os.stat('/none')[1]);
const f = std.open('/out/first.txt', 'r+'); f.seek(0, std.SEEK_END); print(f.tell()); f.puts('END'); f.close();
"""
JS_COMPUTE = b"""
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
print(fib(24), 2n ** 200n % 1000000007n, Math.hypot(3, 4), (0.1 + 0.2).toFixed(20), 1 / 3, 1e21, -0, 5e-324);
const words = 'the quick brown fox jumps over the lazy dog '.repeat(300).trim().split(/\\s+/);
const counts = new Map(); for (const w of words) counts.set(w, (counts.get(w) ?? 0) + 1);
print(JSON.stringify([...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))));
const sieve = new Uint8Array(200001); let primes = 0;
for (let i = 2; i <= 200000; i++) { if (!sieve[i]) { primes++; for (let j = i * 2; j <= 200000; j += i) sieve[j] = 1; } }
print(primes, [..."h\\u00e9llo \\u{1F600}"].length, 'x'.padStart(5, 'ab'), parseInt('zz', 36));
function* gen(n) { for (let i = 0; i < n; i++) yield i * i; }
print([...gen(10)], 'a-b-c'.replace(/-(\\w)/g, (_, c) => c.toUpperCase()), new Date(0).toISOString());
const a = new Float64Array(1000).map((_, i) => Math.sin(i) * Math.cos(i / 7)); print(a.sort().slice(0, 3).join());
class A { #x = 1; get x() { return this.#x; } static make() { return new A(); } } print(A.make().x);
"""
JS_STDIN = b"""
import * as std from 'qjs:std';
let line, lines = 0, bytes = 0; const counts = {};
while ((line = std.in.getline()) !== null) {
  lines++; bytes += line.length;
  for (const w of line.split(' ')) counts[w] = (counts[w] || 0) + 1;
}
print(lines, bytes);
print(Object.entries(counts).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 12).join(' '));
"""

TRAPS = [
    "unreachable", "divide_by_zero", "remainder_by_zero", "divide_overflow", "divide_overflow_64",
    "convert_overflow", "convert_nan", "load", "store", "indirect_null", "indirect_signature",
    "indirect_out_of_bounds", "stack_overflow", "abort",
]  # fmt: skip


def sqlite() -> list[Workload]:
    def one(name, steps, files=None, **more):
        return Workload("sqlite", name, steps, files or {}, **more)

    return [
        one(
            "50 MB database",
            [
                Step(["/large.db", SQL_LARGE_CREATE]),
                Step(["/large.db", SQL_LARGE_INDEX]),
                Step(["/large.db", SQL_LARGE_QUERY]),
                Step(["/large.db", SQL_LARGE_CHANGE]),
            ],
            timeout_s=300,
            at_least_bytes={"large.db": 50_000_000},
            native=False,  # A path at the root of the native file system; see "relative path".
        ),
        one("script from stdin", [Step(["compute.db"], SQL_COMPUTE)], guest_dir="."),
        one(
            "SQL files, relative path, many transactions",
            [
                Step(["data.db", "@schema.sql", "@rows.sql", "SELECT count(*), sum(b), group_concat(a) FROM t"]),
                Step(["data.db", "PRAGMA journal_mode=TRUNCATE", "@rows.sql", "SELECT count(*) FROM t"]),
                Step(["data.db", "VACUUM", "PRAGMA page_count", "PRAGMA integrity_check"]),
            ],
            {
                "schema.sql": b"CREATE TABLE t(a TEXT, b INT); CREATE INDEX i ON t(b);",
                "rows.sql": b"".join(b"INSERT INTO t VALUES('r%d', %d);\n" % (i, i * i) for i in range(60)),
            },
            guest_dir=".",
        ),
        one("SQL error", [Step([":memory:", "SELECT 1", "SELEKT 2", "SELECT 3"], code=1)], guest_dir="."),
        one("constraint error keeps the rows before", [
            Step(["c.db", "CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES(1),(2)", "INSERT INTO t VALUES(2)"], code=1),
            Step(["c.db", "SELECT * FROM t"]),
        ], guest_dir="."),
        one("no such folder", [Step(["none/x.db", "SELECT 1"], code=2)], guest_dir="."),
        one("not a database", [Step(["noise.db", "SELECT * FROM t"], code=1)], {"noise.db": noise(20000)}, guest_dir="."),
        one("no folder at all", [Step(["x.db", "CREATE TABLE t(a)"], code=2)], guest_dir=None, native=False),
    ]  # fmt: skip


def ripgrep() -> list[Workload]:
    def one(name, args, code=0, stdin=None, files=source_tree, **more):
        return Workload("ripgrep", name, [Step(args, stdin, code=code)], files, **more)

    tree = ["--sort", "path"]
    return [
        one("tree with line numbers", [*tree, "-n", "trap", "src"], guest_dir=".", env={}),
        one("counts with a regular expression", [*tree, "-c", r"\bmem\w+ (of|the)\b|item_\d+7_", "/src"], native=False),
        one("replacement with captures", [*tree, "-o", r"(\w+) trap (\w+)", "-r", "$2<$1", "/src"], native=False),
        one("list of files, ignore rules", [*tree, "--files", "/src"], native=False),
        one("hidden and ignored, with context", [*tree, "-uu", "-C", "2", "trap trap", "/src"], native=False),
        one("multi-line and unicode", [*tree, "-U", r"ße Ω\w+|stack(.|\n)global", "/src"], native=False),
        one("stdin", ["-n", "--no-heading", r"^(the|a) .* \d{3}\b", "-"], stdin=lambda: text(4_000_000), files={}),
        one("inverted match of stdin", ["-v", "[aeiou]{2}|e", "-"], stdin=lambda: text(1_000_000), files={}),
        one("nothing found", ["no such words", "/src"], code=1, native=False),
        one("bad regular expression", ["(", "/src"], code=2, native=False),
        one("no such file", ["trap", "/none", "/src/unicode.txt"], code=2, native=False),
    ]


def gofumpt() -> list[Workload]:
    def one(name, steps, files=None, **more):
        return Workload("gofumpt", name, steps, files or {}, env={"PWD": "/"}, native=False, **more)

    def many() -> dict[str, bytes]:
        return {f"p{i:02d}/p{i:02d}.go": go_source(f"p{i:02d}", i % 2 == 0) for i in range(20)}

    return [
        one("list of files that differ", [Step(["-l", "/"])], many),
        one("rewrites a tree", [Step(["-w", "/"]), Step(["-l", "/"])], many),
        one("difference", [Step(["-d", "/p00/p00.go"], code=1)], many),
        one("stdin to stdout", [Step([], lambda: go_source("main", True))]),
        one("extra rules", [Step(["-extra", "/p02/p02.go"])], many),
        one("syntax error", [Step(["/bad.go"], code=2)], {"bad.go": b"package main\n\nfunc main( {\n"}),
        one("no such file", [Step(["/none.go"], code=2)]),
        one("version", [Step(["-version"])]),
    ]


def go_hello() -> list[Workload]:
    return [Workload("go_hello", "hello", [Step([])])]


def go_tool() -> list[Workload]:
    def one(name, args, code=0, stdin=None, files=None, **more):
        return Workload("go_tool", name, [Step(args, stdin, code=code)], files or {}, **more)

    return [
        one("primes", ["primes", "3000000"]),
        one("words of stdin", ["words"], stdin=lambda: text(2_000_000)),
        one("SHA-256 of stdin", ["sha"], stdin=lambda: noise(20_000_000)),
        one("walks a tree", ["tree", "/src"], files=source_tree, native=False),
        one("goroutines", ["goroutines", "300"]),
        one("writes and renames files", ["write", "/out", "200"], native=False),
        # The trace names code offsets of the wasm build.
        one("panic", ["panic"], code=2, native=False),
        one("exit code", ["exit", "37"], code=37),
        one("no such folder", ["tree", "/none"], code=1, native=False),
    ]


def cpython() -> list[Workload]:
    environment = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}

    def one(name, steps, files=None, **more):
        # The machine's own Python is of another version: no native figure.
        return Workload("cpython", name, steps, files or {}, env=environment, native=False, **more)

    return [
        one("one line", [Step(["-c", "import sys; print('hello', sys.version_info[:2], sys.argv)", "a", "b c"])]),
        one("files", [Step(["/files.py"])], {"files.py": PYTHON_FILES}),
        one("computes", [Step(["/compute.py"])], {"compute.py": PYTHON_COMPUTE}, timeout_s=300),
        one("stdin", [Step(["/stdin.py"], lambda: text(3_000_000))], {"stdin.py": PYTHON_STDIN}),
        one("script from stdin", [Step(["-"], b"import os\nprint(sorted(os.listdir('/')), os.environ['PYTHONHASHSEED'])\n")], {"x": b"1"}),
        one("zip, csv and a database", [Step(["/zip.py"])], lambda: {"zip.py": PYTHON_ZIP, "in.zip": rows_zip()}),
        one("exception", [Step(["/fail.py"], code=1)], {"fail.py": PYTHON_FAIL}),
        one("sys.exit", [Step(["-c", "import sys; print('out'); sys.exit(41)"], code=41)]),
        one("syntax error", [Step(["-c", "print('"], code=1)]),
        one("recursion limit", [Step(["-c", "f=lambda n:f(n+1)\ntry: f(0)\nexcept RecursionError as e: print(e)"])]),
    ]  # fmt: skip


def quickjs() -> list[Workload]:
    def one(name, steps, files=None, **more):
        return Workload("quickjs", name, steps, files or {}, native=False, **more)

    return [
        one("one line", [Step(["-e", "print('hello', 6 * 7)"])]),
        one("files", [Step(["-m", "/files.js"])], {"files.js": JS_FILES}),
        one("computes", [Step(["/compute.js"])], {"compute.js": JS_COMPUTE}),
        one("stdin", [Step(["-m", "/stdin.js"], lambda: text(1_000_000))], {"stdin.js": JS_STDIN}),
        one("exception", [Step(["-e", "print(1); null.x"], code=1)]),
        one("exit code", [Step(["-m", "/exit.js"], code=19)], {"exit.js": b"import * as std from 'qjs:std'; print('x'); std.exit(19);"}),
        one("syntax error", [Step(["/bad.js"], code=1)], {"bad.js": b"let = = 3;\n"}),
        one("recursion, 60 deep", [Step(["-e", "function f(n) { return n ? [n].map(m => f(m - 1) + m)[0] : 0 } print(f(60))"])]),
        one("modules", [Step(["-m", "/main.js"])], {"main.js": b"import {f} from './lib/f.js'; print(f(20));", "lib/f.js": b"export const f = n => n < 2 ? 1 : n * f(n - 1);"}),
    ]  # fmt: skip


VERILOG = b"""
module top(input [7:0] a, b, input clk, rst, output reg [15:0] acc, output [7:0] x);
  assign x = a ^ (b << 1);
  always @(posedge clk) if (rst) acc <= 0; else acc <= acc + a * b;
endmodule
"""


def yosys() -> list[Workload]:
    """C++ with exceptions, 46,473 functions. Quiet: what it logs after it has lost its own stdout, which
    it has by the end of its abc pass, lands where the numbers of descriptors happen to lead."""

    def files() -> dict[str, bytes]:
        share = cache_dir() / "programs/yosys_share"
        return {
            "top.v": VERILOG,
            "bad.v": b"module m(input a; endmodule\n",
            "tmp/keep": b"",
            **{f"share/{path.name}": path.read_bytes() for path in share.glob("*.v")},
        }

    def one(name, script, code=0, **more):
        return Workload("yosys", name, [Step(["-q", "-p", script], code=code)], files, native=False, timeout_s=600, **more)

    return [
        Workload("yosys", "version", [Step(["-V"])], native=False, timeout_s=600),
        one("synthesis", "read_verilog /top.v; synth; write_verilog -noattr /out.v; write_json /out.json; tee -o /stat stat",
            at_least_bytes={"out.v": 10_000, "out.json": 100_000, "stat": 300}),
        one("syntax error", "read_verilog /bad.v", code=1),
    ]  # fmt: skip


def guests() -> list[Workload]:
    """Our own programs, tests/guests."""

    def one(program, name, args, code=0, stdin=None, files=None, native=False, **more):
        return Workload(program, name, [Step(args, stdin, code=code)], files or {}, native=native, **more)

    listing = ["write", "a.txt", "alpha\n", ";", "append", "a.txt", "beta\n", ";", "read", "a.txt", ";", "stat", "a.txt"]
    folders = ["mkdir", "d", ";", "mkdir", "d/e", ";", "write", "d/f", "x", ";", "list", ".", ";", "list", "d", ";", "rmdir", "d",
               ";", "unlink", "d/f", ";", "rmdir", "d/e", ";", "rmdir", "d", ";", "list", "."]  # fmt: skip
    renames = ["write", "a", "1", ";", "rename", "a", "b", ";", "read", "a", ";", "read", "b", ";", "mkdir", "d", ";", "rename", "b",
               "d/c", ";", "read", "d/c", ";", "link", "d/c", "l", ";", "read", "l", ";", "create", "l", "no", ";", "rename", "d", "l"]  # fmt: skip
    links = ["symlink", "t", "s", ";", "readlink", "s", ";", "lstat", "s", ";", "stat", "s", ";", "write", "t", "through", ";", "read", "s",
             ";", "symlink", "../../../../etc/passwd", "out", ";", "read", "out", ";", "unlink", "out"]  # fmt: skip
    escapes = ["read", "../x", ";", "read", "/etc/passwd", ";", "stat", "..", ";", "write", "../x", "no", ";", "rename", "in", "../x",
               ";", "read", "sub/../in", ";", "read", "sub/../../x", ";", "list", "sub/.."]  # fmt: skip
    errors = ["read", "none", ";", "mkdir", "in", ";", "rmdir", "in", ";", "unlink", "sub", ";", "read", "in/x", ";", "write", "sub", "x",
              ";", "list", "in", ";", "readlink", "in", ";", "rename", "none", "x", ";", "link", "sub", "y"]  # fmt: skip
    many = {f"many/entry-with-a-rather-long-name-{i:04d}": b"" for i in range(1500)}
    return [
        one("hello", "hello", []),
        one("args_env", "arguments and environment", ["a", "", "with space", "größe", "--dir", "x" * 5000],
            env={"A": "1", "EMPTY": "", "B": "b=c d", "LONG": "y" * 3000}),
        one("args_env", "a thousand arguments", [f"argument-{i}" for i in range(1000)]),
        one("exit_code", "exit 0", ["0"]),
        one("exit_code", "exit 3 with a message", ["3", "gone wrong"], code=3),
        one("exit_code", "return 5", ["return", "5"], code=5),
        one("exit_code", "exit 124", ["124"], code=124),
        one("cat", "nothing", [], stdin=b""),
        one("cat", "8 MB of noise", [], stdin=lambda: noise(8_000_000)),
        Workload("cat", "stdin is a file", [Step([], lambda: text(3_000_000), stdin_pipe=False)], native=False),
        one("cat", "stops reading early", ["1000"], stdin=lambda: noise(3_000_000)),
        one("cat", "stdin is /dev/null", []),
        one("write_forever", "20 MB to stdout", ["20000000"]),
        one("write_forever", "2 MB to stderr", ["2000000", "2"]),
        one("word_count", "C++ counts words", ["25"], stdin=lambda: text(3_000_000)),
        one("word_count", "C++ counts words in order", ["1000", "x"], stdin=lambda: text(300_000, seed=4)),
        one("clocks_random", "sane", []),
        one("poll_sleep", "sleep", ["sleep", "120"]),
        one("poll_sleep", "stdin ready", ["stdin", "20000"], stdin=b"hi\n"),
        one("poll_sleep", "stdout ready", ["both", "1000"], stdin=b""),
        one("poll_sleep", "yield", ["yield"]),
        one("allocate_forever", "200 MiB", ["200"]),
        one("files", "write, append, read, stat", listing),
        one("files", "folders", folders, code=1),
        one("files", "rename and link", renames, code=3),
        one("files", "symbolic links", links, code=2),
        one("files", "paths that leave the folder", escapes, code=6, files={"in": b"inside", "sub/x": b""}),
        one("files", "errors", errors, code=10, files={"in": b"inside", "sub/x": b""}),
        one("files", "seek and truncate", ["seek", "s.bin", "3000"]),
        one("files", "many entries", ["list", "many"], files=many),
        one("files", "many descriptors", ["open_many", "in", "900"], files={"in": b""}),
        one("files", "folder under another name", ["write", "/data/here", "x", ";", "list", "/data", ";", "list", "/"], code=1, guest_dir="/data"),
        one("files", "no folder", ["write", "x", "x", ";", "list", "."], code=2, guest_dir=None),
        one("recurse_forever", "stack overflow", [], code=134),
        *[one("trap", kind, [kind], code=134) for kind in TRAPS],
    ]  # fmt: skip


def all_workloads() -> list[Workload]:
    return [*guests(), *sqlite(), *ripgrep(), *gofumpt(), *go_hello(), *go_tool(), *cpython(), *quickjs(), *yosys()]
