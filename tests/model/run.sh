#!/usr/bin/env bash
# Checks one model: run.sh MODEL [FLAG…]. With flags, that one variant; without, every row of the README's tables that is the
# model's: the rows of "What holds" must be free of errors, those of "What is found" must have one. Exits 77 where SPIN is not
# installed. A trace is printed where there is an error that should not be.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
model=${1:?usage: run.sh MODEL [FLAG…]}
shift
command -v spin >/dev/null || { echo "******** SKIPPED: spin is not installed ********" >&2; exit 77; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
status=0

# rows SECTION: the flags of the model's rows, a line each.
rows() {
  awk -F'|' -v section="## $1" -v model="\`$model\`" '
    /^## / { inside = ($0 == section) }
    inside { name = $2; gsub(/ /, "", name) }
    inside && name == model { gsub(/^ *`?|`? *$/, "", $3); print $3 }' "$here/README.md"
}

# check EXPECTED FLAGS: EXPECTED is "holds" or "found".
check() {
  local expected=$1 flag flags=() outcome said
  for flag in $2; do flags+=("-D$flag"); done
  rm -f ./*
  spin "${flags[@]}" -a "$here/$model.pml" >spin.txt 2>&1 || { cat spin.txt; exit 1; }
  # All states, without partial-order reduction. Errors are found soon, so that compiling takes longer than running.
  local how=(-O1 -DNOREDUCE)
  if [[ $expected == found ]]; then how=(-O0); fi
  gcc "${how[@]}" -w -DSAFETY -DMEMLIM=900 -o pan pan.c
  ./pan -m100000 -w22 -n >pan.txt 2>&1 || true
  said=$(grep -E '^pan:' pan.txt | head -n 1 || true)
  # Q_has: the assertion of READ, which is the model's own mistake.
  if grep -qE 'max search depth too small|out of memory|VECTORSZ|Q_has' pan.txt || ! grep -q 'errors: [0-9]' pan.txt; then
    outcome=broken
  elif grep -q 'errors: 0' pan.txt; then
    outcome=holds
    if grep -q 'Search not completed' pan.txt; then outcome=broken; fi
  else
    outcome=found
  fi
  printf '%s %s: %s (%s states) %s\n' "$model" "$2" "$outcome" \
    "$(awk '/states, stored/ { print $1 }' pan.txt)" "$said"
  if [[ $outcome != "$expected" ]]; then
    status=1
    echo "  must be: $expected"
    if [[ -f $model.pml.trail ]]; then
      spin "${flags[@]}" -t -p -g -k "$model.pml.trail" "$here/$model.pml" | tail -n 200
    fi
  fi
}

if (($#)); then
  check holds "$*"
  exit "$status"
fi

mapfile -t holding < <(rows "What holds")
mapfile -t broken < <(rows "What is found")
((${#holding[@]} && ${#broken[@]})) || { echo "README.md has no rows for $model"; exit 1; }
for flags in "${holding[@]}"; do check holds "$flags"; done
for flags in "${broken[@]}"; do check found "$flags"; done

# A switch that no row turns would not be tested. Parameters have a #define of the same name.
for flag in $(sed -nE 's/^#ifn?def ([A-Z_0-9]+).*/\1/p' "$here/$model.pml" | sort -u); do
  grep -qE "^#define $flag\b" "$here/$model.pml" && continue
  printf '%s\n' "${holding[@]}" "${broken[@]}" | grep -qwE "$flag" || { echo "$flag: no row of README.md turns it"; status=1; }
done
exit "$status"
