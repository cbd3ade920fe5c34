#!/usr/bin/env bash
# Fuzzes one target for a while: scripts/fuzz.sh TARGET SECONDS. Without arguments: lists the targets.
# What a name ends in, _fuzz or _peer, may be left out.
# New inputs stay in build/fuzz/corpus/TARGET; the committed corpus is only read. Exits 1 on a finding,
# which lies in build/fuzz/findings/TARGET and is run again with build/fuzz/bin/fuzz/TARGET FILE.
# The targets that end in _peer compare with other engines (tests/fuzz/peer, built with cargo): modules of
# wasm-smith run by wasmtime too (differential_peer), mutants of the tests' and the official suite's modules judged
# by wasmparser too (verdict_peer), and every prefix and every change of one byte of those modules, small ones
# first (neighbours_peer). WASMD_FUZZ_PRESET says which build of ours (release; asan for verdict_peer);
# WASMD_FUZZ_SEED where the numbers begin (the time).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { die "usage: scripts/fuzz.sh TARGET SECONDS"; }

peers=(differential_peer verdict_peer neighbours_peer)
targets() {
  printf '%s\n' "${peers[@]}"
  sed -n 's/^ *NAME \([a-z0-9_]*_fuzz\).*/\1/p; s/.*wasmd_fuzz(NAME \([a-z0-9_]*\).*/\1/p' tests/fuzz/CMakeLists.txt tests/fuzz/*/CMakeLists.txt 2>/dev/null | sort -u
}

if (($# == 0)); then
  targets
  exit 0
fi
(($# == 2)) && [[ $2 =~ ^[0-9]+$ ]] || usage
target=
for name in "$1" "$1_fuzz" "$1_peer"; do
  [[ " $(targets | paste -sd' ') " == *" $name "* ]] && { target=$name; break; }
done
seconds=$2
[[ -n $target ]] || die "no target $1; there are: $(targets | paste -sd' ')"

need_packages Building Libraries Tests

fuzz_with_peer() {
  local default=release preset cache suite=${WASMD_SPEC_SUITE:-../shared/spec}
  [[ $target == verdict_peer ]] && default=asan
  preset=${WASMD_FUZZ_PRESET:-$default}
  command -v cargo >/dev/null || die "$target needs cargo"
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/wasmd/fuzz
  say "building tests/fuzz/peer"
  CARGO_TARGET_DIR=$cache cargo build --quiet --release --locked --manifest-path tests/fuzz/peer/Cargo.toml
  configure "$preset"
  build "$preset" fuzz_runner
  local runner=$PWD/build/$preset/bin/fuzz/fuzz_runner seeds=("$PWD/tests/fuzz/corpus") seed=${WASMD_FUZZ_SEED:-$(date +%s)}
  [[ -d $suite ]] && seeds+=("$(cd "$suite" && pwd)")
  mkdir -p "build/fuzz/findings/$target"
  cd "build/fuzz/findings/$target"
  say "$target: seed $seed, findings in build/fuzz/findings/$target"
  local peer=$cache/release/fuzz_peer
  case $target in
    differential_peer) exec "$peer" "$runner" generate "${seconds}s" "$seed" ;;
    verdict_peer) exec "$peer" "$runner" mutate "${seconds}s" "$seed" "${seeds[@]}" ;;
    neighbours_peer) exec "$peer" "$runner" neighbours "${seconds}s" "${seeds[@]}" ;;
  esac
}
[[ " ${peers[*]} " == *" $target "* ]] && fuzz_with_peer

configure fuzz
build fuzz "$target"
mkdir -p "build/fuzz/corpus/$target" "build/fuzz/findings/$target"
case $target in
  ring_fuzz) seeds=(tests/fuzz/corpus/ring) ;;
  *) seeds=(tests/fuzz/corpus/decode tests/fuzz/corpus/outcome) ;;
esac
exec "build/fuzz/bin/fuzz/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
  -artifact_prefix="build/fuzz/findings/$target/" "build/fuzz/corpus/$target" "${seeds[@]}"
