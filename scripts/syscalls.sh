#!/usr/bin/env bash
# Which system calls the daemon makes, against what strict mode allows (daemon/sandbox/syscalls.def):
#
#   scripts/syscalls.sh              traces the daemons of the end-to-end tests, in strict mode
#   scripts/syscalls.sh COMMAND…     traces those of a command that takes its wasmd from $WASMD_BIN_DIR
#
# Prints the calls that were refused, which fails; those that were made; and those that are allowed and were not made. WASMD_TEST_SANDBOX=off
# shows what is asked for where nothing is refused. Takes a few minutes; the release build must be there.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_packages Building Libraries Tests Guest Tracing

bin=$WASMD_ROOT/build/release/bin
[[ -x $bin/wasmd && -x $bin/wasmctl ]] || die "no $bin/wasmd: build the preset release first"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin" "$folder/traces"
chmod 0777 "$folder/traces" && chmod 0755 "$folder" # Some tests run daemons as nobody.
for tool in "$bin"/*; do
  [[ $tool == */wasmd ]] || ln -s "$tool" "$folder/bin/"
done
# The tracer is the daemon's grandchild (-D), so that tests signal and wait for the daemon itself.
cat >"$folder/bin/wasmd" <<END
#!/bin/sh
exec strace -D -f -qq -s 40 -o "$folder/traces/\$\$" "$bin/wasmd" "\$@"
END
chmod 0755 "$folder/bin/wasmd"

export WASMD_BIN_DIR=$folder/bin WASMD_GUESTS_DIR=${WASMD_GUESTS_DIR:-$WASMD_ROOT/build/release/guests}
export WASMD_TEST_SANDBOX=${WASMD_TEST_SANDBOX:-strict} WASMD_CHANNEL_KILLS=${WASMD_CHANNEL_KILLS:-40}
if (($#)); then
  "$@" || say "FAILED: $*"
else
  for test in cli/run_test cli/commands_test daemon/{module,socket,runaway,load,channel}_test; do
    say "$test"
    # One that looks at the daemon's process itself fails for the tracer; what is refused is what counts.
    python3 -B "tests/e2e/$test.py" >"$folder/log" 2>&1 || { tail -n 15 "$folder/log" >&2; say "FAILED under strace: $test"; }
  done
fi
python3 -B tests/e2e/daemon/syscalls.py "$folder/traces"
