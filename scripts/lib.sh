# Sourced by every script here, never run: strict mode, the repository's root, messages, and the
# Debian packages of .ci/packages.txt.

set -euo pipefail

WASMD_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$WASMD_ROOT"

say() { printf '==> %s\n' "$*" >&2; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# How many compilers run at once: one a core, and no more than memory has room for (1.5 GB each).
build_jobs() {
  local by_memory
  by_memory=$(($(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) / 1500000))
  local jobs
  jobs=$(nproc)
  ((by_memory < jobs)) && jobs=$by_memory
  ((jobs > 0)) || jobs=1
  echo "$jobs"
}

# Runs a command as root: directly, or through sudo.
as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "needs root to run: $* (no sudo here; run it as root once)"
  fi
}

# The packages that .ci/packages.txt lists, of the sections whose heading starts with one of the
# arguments ("# Building" …), or of all where there is no argument.
listed_packages() {
  awk -v wanted="$(printf '%s\n' "$@")" '
    BEGIN { count = split(wanted, sections, "\n") }
    /^# / {
      take = (wanted == "")
      for (i = 1; i <= count; ++i) if (sections[i] != "" && index(substr($0, 3), sections[i]) == 1) take = 1
      next
    }
    NF && take { print $1 }' "$WASMD_ROOT/.ci/packages.txt"
}

# Installs what is lacking of the named sections (all without an argument). Says what it does; does
# nothing, and needs no network, where everything is there.
need_packages() {
  local package missing=()
  command -v dpkg-query >/dev/null || die "this is not Debian; install what .ci/packages.txt lists by hand"
  for package in $(listed_packages "$@"); do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  # shellcheck disable=SC1091
  [[ $(. /etc/os-release && echo "${ID:-}${VERSION_ID:-}") == debian12 ]] ||
    say "this is not Debian 12: the packages may have other names or versions"

  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  local attempt log
  log=$(mktemp)
  for attempt in 1 2 3 4 5; do
    # Another apt-get may hold the lists' lock, which no option waits for: hence the loop.
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update >"$log" 2>&1 &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${missing[@]}" >"$log" 2>&1; then
      rm -f "$log"
      return 0
    fi
    tail -n 3 "$log" >&2
    if ((attempt < 5)); then
      say "apt-get failed; attempt $((attempt + 1)) of 5 in $((attempt * 5)) seconds"
      sleep $((attempt * 5))
    fi
  done
  die "could not install ${missing[*]} (full output: $log)"
}

# configure PRESET [-D…]: quiet unless it fails.
configure() {
  local log
  log=$(mktemp)
  if ! cmake --preset "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    die "configuring $1 failed"
  fi
  rm -f "$log"
}

# build PRESET [TARGET…]: the whole, or the named targets.
build() {
  local preset=$1
  shift
  cmake --build --preset "$preset" -j "$(build_jobs)" ${1:+--target "$@"} -- --quiet
}
