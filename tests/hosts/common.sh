# Sourced by each host's run.sh with the library as first argument: sets `here`, `library` and `work`, a folder with
# guest.wasm that goes at exit.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
library=$(realpath "${1:?names libwasmd.so}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() {
  printf '%s: ******** SKIPPED: %s ********\n' "$0" "$*" >&2
  [[ ${CI:-} == true ]] && exit 1
  exit 77
}

# Where the header is: in the tree.
export CPATH=$here/../../../engine/capi${CPATH:+:$CPATH}

command -v wat2wasm >/dev/null || skip "wat2wasm is not there (Debian: wabt)"
wat2wasm "$here/../guest.wat" -o "$work/guest.wasm"
