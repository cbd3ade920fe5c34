#!/usr/bin/env bash
# Lint. Prints what is wrong and exits 1, or prints one line for each check and exits 0.
#
#   .ci/lint.sh            everything; clang-tidy on the C++ files that differ from the main branch
#   .ci/lint.sh --all      clang-tidy on all C++ files
#   .ci/lint.sh --quick    no clang-tidy
#   .ci/lint.sh --fix      formats the C++ files that need it, then as --quick
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

mode=${1:-changed}
[[ $mode =~ ^(changed|--all|--quick|--fix)$ ]] || die "usage: .ci/lint.sh [--all|--quick|--fix]"
need_packages Building Lint

failed=false
check() {
  local name=$1
  shift
  if "$@"; then
    say "$name: good"
  else
    say "$name: FAILED"
    failed=true
  fi
}

# What is committed or about to be, as it is in the work tree.
files() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do [[ -f $file ]] && echo "$file"; done; }
cxx_files() { files '*.cc' '*.h' '*.def'; }

# Names the files only; --fix mends them.
format() {
  local file status=0
  while read -r file; do
    clang-format-19 "$file" | cmp -s - "$file" || { echo "$file: needs clang-format-19 -i"; status=1; }
  done < <(cxx_files | grep -v '\.def$')
  return $status
}
[[ $mode == --fix ]] && cxx_files | grep -v '\.def$' | xargs -r clang-format-19 -i

spaces() {
  local bad
  bad=$(files | grep -vE '\.(wasm|wat|json|md|png|bin|patch)$|^LICENSE$|corpus/' | xargs -r -d '\n' grep -nIE '[[:blank:]]+$' || true)
  [[ -z $bad ]] || { echo "trailing space:"; echo "$bad"; return 1; }
}

scripts_parse() {
  local file status=0
  for file in $(files '*.sh') .ci/run; do bash -n "$file" || status=1; done
  return $status
}

tidy() {
  configure lint
  # Generated headers must be there for the compiler.
  cmake --build build/lint --target help | sed -n 's/^\(wasmd_proto[a-z_0-9]*\):.*/\1/p' | sort -u |
    xargs -r cmake --build build/lint -j "$(build_jobs)" --target >/dev/null
  local list
  if [[ $mode == --all ]]; then
    list=$(files '*.cc')
  else
    list=$( { git diff --name-only --diff-filter=d "$(git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD~1)" -- '*.cc'; git ls-files --others --exclude-standard -- '*.cc'; } | sort -u)
  fi
  [[ -n $list ]] || { echo "no C++ file to check"; return 0; }
  # Only what the compile database knows: the rest has no flags to be read with.
  local known
  known=$(python3 -c '
import json, os, sys
root = os.getcwd() + os.sep
print("\n".join(sorted({e["file"].removeprefix(root) for e in json.load(open("build/lint/compile_commands.json"))})))')
  comm -12 <(sort <<<"$list") <(sort <<<"$known") | xargs -r -n 1 -P "$(build_jobs)" clang-tidy-19 -p build/lint --quiet 2>/dev/null
}

check "clang-format" format
check "layers" .ci/check_layers.py
check ".proto" .ci/lint_proto.py
check "trailing space" spaces
check "shell syntax" scripts_parse
[[ $mode == changed || $mode == --all ]] && check "clang-tidy" tidy
$failed && exit 1
exit 0
