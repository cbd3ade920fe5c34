#!/usr/bin/env bash
# Runs a benchmark: scripts/bench.sh NAME [--json FILE] …; without arguments, lists the names.
# A benchmark is tests/bench/NAME.sh or tests/bench/NAME.py (run as is), or build/release/bin/bench/NAME_bench
# (Google Benchmark; --json becomes its own option). Numbers are of the release build.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

names() {
  {
    ls tests/bench/*.sh tests/bench/*.py 2>/dev/null | sed 's#.*/##; s#\.\(sh\|py\)$##' | grep -v '^_'
    ls build/release/bin/bench/ 2>/dev/null | sed -n 's/_bench$//p'
  } | sort -u
}

if (($# == 0)); then
  names
  exit 0
fi
name=$1
shift
[[ $name =~ ^[a-z0-9_]+$ ]] || die "no benchmark $name; there are: $(names | paste -sd' ')"

need_packages Building Libraries Tests
configure release
build release
for script in "tests/bench/$name.sh" "tests/bench/$name.py"; do
  [[ -x $script ]] && exec "$script" "$@"
done
binary=build/release/bin/bench/${name}_bench
[[ -x $binary ]] || die "no benchmark $name; there are: $(names | paste -sd' ')"
arguments=()
while (($#)); do
  case $1 in
    --json)
      (($# > 1)) || die "--json needs a file"
      arguments+=("--benchmark_out=$2" --benchmark_out_format=json)
      shift 2
      ;;
    *)
      arguments+=("$1")
      shift
      ;;
  esac
done
exec "$binary" "${arguments[@]}"
