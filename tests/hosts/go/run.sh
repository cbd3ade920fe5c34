#!/usr/bin/env bash
# A Go program through cgo.
#
#   tests/hosts/go/run.sh LIBWASMD_SO
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
command -v go >/dev/null || skip "go is not there (Debian: golang-go)"
command -v cc >/dev/null || skip "cgo wants a C compiler"

mkdir "$work/host"
cp "$here/host.go" "$here/../guest.c" "$here/../guest.h" "$work/host"
printf 'module host\n\ngo 1.19\n' >"$work/host/go.mod"
cd "$work/host"
# No module but its own and the standard library: nothing is downloaded.
export GOFLAGS=-mod=mod GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=1
export CGO_LDFLAGS="-L$(dirname "$library") -lwasmd -Wl,-rpath,$(dirname "$library")"
go build -o host .
for race in default 1; do
  # 1: a collection at every opportunity, and one thread for all goroutines' Go code.
  if [[ $race == 1 ]]; then
    export GOGC=1 GOMAXPROCS=1
  fi
  timeout 250 ./host "$work/guest.wasm"
done
# A fault of the host's own C code, below wasm's frames, is Go's report and Go's exit code.
status=0
said=$(timeout 60 ./host "$work/guest.wasm" crash 2>&1) || status=$?
if [[ $status != 2 || $said != *"SIGSEGV"* || $said != *"goroutine "* ]]; then
  printf 'run.sh: a crash in C ends with %s, not Go'\''s report and 2:\n%s\n' "$status" "$said" >&2
  exit 1
fi
echo "go crash: passed"
