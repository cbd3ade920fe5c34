#!/usr/bin/env bash
# CPU seconds and peak memory of loading, with every function compiled, the dearest modules of 1 MB that we know
# (tests/support/hostile_modules.h), beside what is promised: 2 s and 256 MiB. Fails if one is beyond that.
#
#   scripts/bench.sh bounded [--json FILE] [--size BYTES] [CASE]…
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

arguments=()
json=
while (($#)); do
  case $1 in
    --json)
      (($# > 1)) || die "--json needs a file"
      json=$2
      shift 2
      ;;
    *)
      arguments+=("$1")
      shift
      ;;
  esac
done
binary=${WASMD_BUILD_DIR:-build/release}/bin/bench/bounded_load
[[ -x $binary ]] || die "there is no $binary; build it first"
if [[ -z $json ]]; then
  exec "$binary" "${arguments[@]}"
fi
"$binary" --json "${arguments[@]}" | tee "$json"
exit "${PIPESTATUS[0]}"
