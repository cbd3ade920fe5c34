#!/usr/bin/env bash
# Runs the official WebAssembly test suite, converted to JSON: scripts/conformance.sh [FOLDER] [--json FILE] …
# FOLDER defaults to WASMD_SPEC_SUITE, then to ../shared/spec. Every argument goes to
# wasmd_conformance, whose --help names the rest. Exits 1 where a script fails that should pass.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder=${WASMD_SPEC_SUITE:-../shared/spec}
if (($#)) && [[ $1 != -* ]]; then
  folder=$1
  shift
fi
[[ -d $folder ]] || die "no folder $folder: name the suite's folder, or set WASMD_SPEC_SUITE"
if [[ ! -x build/release/bin/wasmd_conformance ]]; then
  need_packages Building Libraries Tests
  configure release
  build release wasmd_conformance
fi
exec build/release/bin/wasmd_conformance "$folder" "$@"
