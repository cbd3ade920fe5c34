#!/usr/bin/env bash
# Builds and runs everything that must pass before a change goes in:
#
#   scripts/test.sh          lint, the release build and all its tests (unit, conformance, end to end, programs, SDKs, deployment),
#                            the unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
#   scripts/test.sh --long   also ThreadSanitizer, g++, a minute of each fuzz target and of each stress test, and the container image
#
# Warnings are errors here. WASMD_SPEC_SUITE names the folder of the official test suite (default: ../shared/spec where it
# exists). A line for each part, then ctest's summary of the release build's tests close the output. Where any part failed, what the
# tests that failed had printed comes last, and the exit code is 1.
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
failures=()
failed=false

# part NAME COMMAND…: runs it, notes the outcome and the time, goes on either way.
part() {
  local name=$1 start=$SECONDS status=passed
  shift
  say "$name"
  # A subshell, so that `die` and set -e end the part and not the script; not in an `||` list,
  # where set -e would be off.
  set +e
  (
    set -e
    "$@"
  )
  (($? == 0)) || { status=FAILED failed=true failures+=("$name;"); }
  set -e
  summary+=("$(printf '%-48s %s (%d s)' "$name" "$status" $((SECONDS - start)))")
}

# test_preset PRESET [ctest arguments]: what failing tests printed is kept in build/PRESET/failed_tests.txt.
test_preset() {
  local preset=$1 status=0
  shift
  ctest --preset "$preset" --parallel "$(nproc)" "$@" | tee "build/$preset/tests.txt" || status=$?
  # From the line with the outcome (Failed, Timeout, Exception …) to the next test's, at most 60 lines each.
  awk '/^ *[0-9]+\/[0-9]+ Test +#/ { print_it = /\*\*\*/; lines = 0 } /^ +Start +[0-9]+:/ { next }
       print_it && lines++ < 60' "build/$preset/tests.txt" >"build/$preset/failed_tests.txt"
  return "$status"
}

need_packages Building Libraries Tests Guest Hosts Lint

release() {
  configure release -DWASMD_WERROR=ON
  build release
}
# SANITIZER'S PRESET: the unit tests alone.
sanitized() {
  configure "$1" -DWASMD_WERROR=ON
  build "$1" wasmd_unit_tests
  test_preset "$1" --label-regex '^unit$'
}
fuzz_all() {
  local target
  for target in $(scripts/fuzz.sh); do
    if [[ $target == *_peer ]] && ! command -v cargo >/dev/null; then
      say "SKIPPED: $target needs cargo"
      continue
    fi
    scripts/fuzz.sh "$target" 60
  done
}

if $long; then
  # How long the stress tests go on, in all builds.
  export WASMD_STRESS_SECONDS=${WASMD_STRESS_SECONDS:-60}
  # How many interrupts they send, in process and over rings.
  export WASMD_STRESS_INTERRUPTS=${WASMD_STRESS_INTERRUPTS:-1000000}
  # How many clients of channels are killed at some step.
  export WASMD_CHANNEL_KILLS=${WASMD_CHANNEL_KILLS:-3000}
fi

rm -f build/*/failed_tests.txt
part "format, layers, .proto, spaces" .ci/lint.sh --quick
part "release: build" release
part "asan, ubsan: unit tests" sanitized asan
if $long; then
  part "tsan: unit tests" sanitized tsan
  part "g++: unit tests" sanitized gcc
  part "fuzz: a minute a target" fuzz_all
  part "image: built and run with buildah" tests/deploy/image.sh
fi
printf '\n'
printf '%s\n' "${summary[@]}"
# Last, so that ctest's summary closes the output.
part "release: all tests" test_preset release
if $failed; then
  cat build/*/failed_tests.txt 2>/dev/null || true
  die "a part failed: ${failures[*]}"
fi
exit 0
