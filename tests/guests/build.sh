#!/usr/bin/env bash
# Builds the project's own guest programs for wasm32-wasi.
#
#   tests/guests/build.sh OUT [NAME…]     OUT/NAME.wasm for each, by default for all
#   tests/guests/build.sh --list          the names
#
# CMake calls it once a program; by hand it needs clang-19, lld-19, wasi-libc,
# libclang-rt-19-dev-wasm32 and, for C++, libc++-19-dev-wasm32 and libc++abi-19-dev-wasm32.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cc=${WASMD_GUEST_CC:-clang-19}
cxx=${WASMD_GUEST_CXX:-clang++-19}
# Debian's wasi-libc carries debug information: without it hello is 14 KB instead of 42. Function names stay.
flags=(--target=wasm32-wasi -O2 -Wall -Wextra -Werror -Wl,--strip-debug)

names() {
  # sqlite_main.c needs SQLite's sources: scripts/programs.sh builds it.
  (cd "$here" && for file in *.c *.cc; do
    [[ $file == sqlite_main.c ]] || echo "${file%.*}"
  done)
}

if [[ ${1:-} == --list ]]; then
  names
  exit 0
fi
out=${1:?usage: build.sh OUT [NAME…]}
shift
mkdir -p "$out"
scratch=$(mktemp -d "$out/.build.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
if (($# == 0)); then
  mapfile -t all < <(names)
  set -- "${all[@]}"
fi
for name in "$@"; do
  # Through a temporary folder, so that a reader never sees half a module; the file's name ends up
  # in the name section and so must be the final one.
  temporary=$scratch/$name.wasm
  if [[ -f $here/$name.cc ]]; then
    "$cxx" "${flags[@]}" -std=c++20 -fno-exceptions "$here/$name.cc" -o "$temporary"
  else
    extra=()
    # Endless recursion is what these two are for.
    target=("${flags[@]}")
    case $name in
      trap | recurse_forever) extra=(-Wno-infinite-recursion) ;;
      # As docs/bytes.md has it: no libc.
      bytes) target=(--target=wasm32 -O2 -mbulk-memory -nostdlib -Wl,--no-entry -Wall -Wextra -Werror) ;;
    esac
    "$cc" "${target[@]}" -std=c17 -D_GNU_SOURCE "${extra[@]}" "$here/$name.c" -o "$temporary"
  fi
  mv -f "$temporary" "$out/$name.wasm"
done
