#!/usr/bin/env bash
# Compiles wasm.h as C99 to C17 and as C++11 to C++20, warnings being errors, and compares the functions it declares with
# those that the library shows: the same, and nothing else.
#
#   header_and_symbols.sh FOLDER_OF_WASM_H LIBWASMD_SO
set -euo pipefail
folder=$(realpath "$1")
library=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
echo '#include <wasm.h>' | tee header.c >header.cc
for standard in c99 c11 c17; do
  gcc -std=$standard -Wall -Wextra -Werror -Wpedantic -Wno-unused -I"$folder" -fsyntax-only header.c
done
for standard in c++11 c++17 c++20; do
  g++ -std=$standard -Wall -Wextra -Werror -Wpedantic -Wold-style-cast -Wno-unused -I"$folder" -fsyntax-only header.cc
done

# Prototypes alone: static inline functions have a body on the line's way to ";".
gcc -E -P -I"$folder" header.c | tr -d '\n' | sed 's/static inline[^{]*{[^}]*}/;/g' | tr ';' '\n' |
  grep -oE '\bwasm_[a-z0-9_]+ ?\(' | tr -d ' (' | sort -u >declared
nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort -u >shown
nm -D --defined-only "$library" | awk '$2 != "T" && $2 != "A" { print $3 }' >other
diff -u declared shown
[[ ! -s other ]] || {
  echo "the library shows more than functions: $(cat other)" >&2
  exit 1
}
[[ $(wc -l <declared) -ge 270 ]] || {
  echo "only $(wc -l <declared) functions found in wasm.h" >&2
  exit 1
}
