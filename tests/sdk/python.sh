#!/usr/bin/env bash
# Builds the wheel of client/python, checks its types, and tests it against a real daemon.
#
#   WASMD=build/release/bin/wasmd WASMD_GUESTS=build/release/guests tests/sdk/python.sh [pytest arguments]
#
# The virtual environment with the tools is kept in ${WASMD_CACHE_DIR:-~/.cache/wasmd}. With the package index out of reach: exit
# code 77, which ctest shows as a skip, or a failure with CI=true.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${WASMD:?names the daemon to test against}" "${WASMD_GUESTS:?names the folder of the guest programs}"
WASMD=$(realpath "$WASMD")
WASMD_GUESTS=$(realpath "$WASMD_GUESTS")
export WASMD WASMD_GUESTS
cache=${WASMD_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/wasmd}
venv=$cache/sdk-python
tools=(pip==25.3 setuptools==80.9.0 grpcio==1.78.0 grpcio-tools==1.78.0 protobuf==6.33.6 pytest==8.4.2 mypy==1.18.2
  types-grpcio==1.0.0.20260614 types-protobuf==6.32.1.20260221)

skip() {
  printf 'python.sh: ******** SKIPPED: %s ********\n' "$*" >&2
  [[ ${CI:-} == true ]] && exit 1
  exit 77
}

# Three attempts: registries have bad minutes.
install_tools() {
  local attempt log
  log=$(mktemp)
  for attempt in 1 2 3; do
    if timeout 300 "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${tools[@]}" >"$log" 2>&1; then
      rm -f "$log"
      return 0
    fi
    sleep $((attempt * 3))
  done
  tail -n 5 "$log" >&2
  rm -f "$log"
  return 1
}

mkdir -p "$cache"
wanted="$(python3 --version) ${tools[*]}"
# Two checkouts may test at once.
exec {lock}>"$cache/.sdk-python.lock"
flock "$lock"
if [[ ! -x $venv/bin/python || $(cat "$venv/.tools" 2>/dev/null) != "$wanted" ]]; then
  rm -rf "$venv"
  python3 -m venv "$venv" || skip "python3 -m venv does not work (Debian: python3-venv)"
  install_tools || skip "the package index is out of reach"
  printf '%s\n' "$wanted" >"$venv/.tools"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A copy, so that the build leaves nothing in the tree.
cp -r "$root/client/python" "$work/python"
cp -r "$root/proto" "$work/python/proto"
"$venv/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
  --wheel-dir "$work" "$work/python"
wheel=$(echo "$work"/wasmd-*.whl)
"$venv/bin/python" -m zipfile --extract "$wheel" "$work/installed"
for file in wasmd/py.typed wasmd/v1/session_pb2.py wasmd/v1/session_pb2_grpc.py; do
  [[ -f $work/installed/$file ]] || {
    echo "python.sh: the wheel lacks $file" >&2
    exit 1
  }
done
flock --unlock "$lock"

cd "$work/python"
MYPYPATH=$work/installed "$venv/bin/mypy" --config-file pyproject.toml --cache-dir "$work/mypy" --explicit-package-bases
PYTHONPATH=$work/installed timeout 300 "$venv/bin/python" -m pytest -p no:cacheprovider -q "$@"
