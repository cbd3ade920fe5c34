#!/usr/bin/env bash
# Fuzzes one target for a while: scripts/fuzz.sh TARGET SECONDS. Without arguments: lists the targets.
# New inputs stay in build/fuzz/corpus/TARGET; the committed corpus is only read. Exits 1 on a finding,
# which lies in build/fuzz/findings/TARGET and is run again with build/fuzz/bin/fuzz/TARGET FILE.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { die "usage: scripts/fuzz.sh TARGET SECONDS"; }

targets() { sed -n 's/^ *NAME \([a-z0-9_]*_fuzz\).*/\1/p; s/.*wasmd_fuzz(NAME \([a-z0-9_]*\).*/\1/p' tests/fuzz/CMakeLists.txt tests/fuzz/*/CMakeLists.txt 2>/dev/null | sort -u; }

if (($# == 0)); then
  targets
  exit 0
fi
(($# == 2)) && [[ $2 =~ ^[0-9]+$ ]] || usage
target=$1
seconds=$2
targets | grep -qx -- "$target" || die "no target $target; there are: $(targets | paste -sd' ')"

need_packages Building Libraries Tests
configure fuzz
build fuzz "$target"
mkdir -p "build/fuzz/corpus/$target" "build/fuzz/findings/$target"
seeds=()
[[ -d tests/fuzz/corpus/${target%_fuzz} ]] && seeds+=("tests/fuzz/corpus/${target%_fuzz}")
exec "build/fuzz/bin/fuzz/$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
  -artifact_prefix="build/fuzz/findings/$target/" "build/fuzz/corpus/$target" "${seeds[@]}"
