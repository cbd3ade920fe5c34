#!/usr/bin/env bash
# Builds and runs everything that must pass before a change goes in:
#
#   scripts/test.sh          release build, its unit tests and the conformance suite, which decide; the end-to-end tests
#                            and the unit tests under AddressSanitizer, which are reported (docs/roadmap.md says why)
#   scripts/test.sh --long   also ThreadSanitizer, g++, and a minute of each fuzz target
#
# WASMD_SPEC_SUITE names the folder of the official test suite (default: ../shared/spec where it exists).
# Last comes a summary with one line for each part. Exits 1 where any failed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

long=false
case "${1:-}" in
  "") ;;
  --long) long=true ;;
  *) die "usage: scripts/test.sh [--long]" ;;
esac

if [[ -z ${WASMD_SPEC_SUITE:-} && -d ../shared/spec ]]; then
  WASMD_SPEC_SUITE="$(cd ../shared/spec && pwd)"
fi
[[ -n ${WASMD_SPEC_SUITE:-} ]] && export WASMD_SPEC_SUITE

summary=()
failed=false

# part NAME COMMAND…: runs it, notes the outcome and the time, goes on either way.
# report NAME COMMAND…: the same, but a failure is shown and does not fail the script. For parts that have not yet been seen
# to pass on a quiet machine: docs/roadmap.md lists them, and each becomes a `part` there.
part() { run_part gate "$@"; }
report() { run_part report "$@"; }
run_part() {
  local kind=$1 name=$2 start=$SECONDS status=passed
  shift 2
  say "$name"
  # A subshell, so that `die` and set -e end the part and not the script; not in an `||` list,
  # where set -e would be off.
  set +e
  (
    set -e
    "$@"
  )
  if (($? != 0)); then
    if [[ $kind == gate ]]; then
      status=FAILED failed=true
    else
      status="FAILED, reported only: see docs/roadmap.md"
    fi
  fi
  set -e
  summary+=("$(printf '%-48s %s (%d s)' "$name" "$status" $((SECONDS - start)))")
}

# test_preset PRESET [ctest arguments]
test_preset() {
  local preset=$1
  shift
  ctest --preset "$preset" --parallel "$(nproc)" "$@"
}

need_packages

release() {
  configure release -DWASMD_WERROR=OFF
  build release
}
# Engine, wire and tools, on their own.
unit_tests() {
  test_preset release --label-regex '^(unit|conformance|lint|fuzz)$' --repeat until-pass:3
}
# The real binaries under bad input, load and signals.
daemon_tests() {
  test_preset release --tests-regex '^e2e\.daemon' --repeat until-pass:3
}
# The rest of what drives the real binaries from outside; registries are asked for programs and peers.
end_to_end_tests() {
  test_preset release --label-exclude '^(unit|conformance|lint|fuzz)$' --exclude-regex '^e2e\.daemon'
}
sanitized() {
  configure "$1" -DWASMD_WERROR=OFF
  build "$1" wasmd_unit_tests
  test_preset "$1" --label-regex '^unit$'
}
fuzz_all() {
  local target
  for target in $(scripts/fuzz.sh); do
    scripts/fuzz.sh "$target" 60
  done
}

report "format, layers, .proto, spaces" .ci/lint.sh --quick
part "release: build" release
report "release: end-to-end tests" timeout 1200 bash -c "$(declare -f end_to_end_tests test_preset); end_to_end_tests"
report "asan, ubsan: unit tests" timeout 1200 bash -c "set -e; source scripts/lib.sh; $(declare -f sanitized test_preset); sanitized asan"
if $long; then
  part "tsan: unit tests" sanitized tsan
  part "g++: unit tests" sanitized gcc
  part "fuzz: a minute a target" fuzz_all
fi

part "release: the daemon under bad input" daemon_tests
# Last, so that ctest's summary closes the output.
part "release: unit tests and conformance" unit_tests

printf '\n'
printf '%s\n' "${summary[@]}"
$failed && exit 1
exit 0
