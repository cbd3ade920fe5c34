#!/usr/bin/env bash
# A JVM: through JNI, and through java.lang.foreign too where the JDK has it (22 and up).
#
#   tests/hosts/java/run.sh LIBWASMD_SO
#
# Takes the JDK of JAVA_HOME, or else the newest below /usr/lib/jvm, or else the path's.
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
if [[ -z ${JAVA_HOME:-} ]]; then
  for javac in /usr/lib/jvm/*/bin/javac; do
    [[ -x $javac ]] && printf '%s %s\n' "$("$javac" -version 2>&1 | sed -E 's/[^0-9]*([0-9]+).*/\1/')" "${javac%/bin/javac}"
  done | sort -n >"$work/jdks"
  read -r _ JAVA_HOME < <(tail -n 1 "$work/jdks") || JAVA_HOME=""
fi
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
javac=${JAVA_HOME:+$JAVA_HOME/bin/}javac
command -v "$javac" >/dev/null || skip "javac is not there (Debian: default-jdk-headless)"
command -v cc >/dev/null || skip "the JNI library wants a C compiler"
home=$(dirname "$(dirname "$(realpath "$(command -v "$javac")")")")
[[ -f $home/include/jni.h ]] || skip "$home has no jni.h"
version=$("$javac" -version 2>&1 | sed -E 's/[^0-9]*([0-9]+).*/\1/')

cc -O2 -Wall -Werror -fPIC -shared -I"$home/include" -I"$home/include/linux" "$here/jni.c" "$here/../guest.c" -I"$here/.." \
  -o "$work/libguest.so" -L"$(dirname "$library")" -lwasmd "-Wl,-rpath,$(dirname "$library")"
sources=("$here/Host.java" "$here/Guest.java" "$here/JniGuest.java")
bindings=(JniGuest)
flags=()
if ((version >= 22)); then
  sources+=("$here/ForeignGuest.java")
  bindings+=(ForeignGuest)
  flags+=(--enable-native-access=ALL-UNNAMED)
fi
"$javac" -Xlint:all -Xlint:-restricted -Werror -d "$work/classes" "${sources[@]}" 2>"$work/javac" ||
  "$javac" -d "$work/classes" "${sources[@]}"
ulimit -c 0
run() {
  timeout 280 "$java" "${flags[@]}" "-XX:ErrorFile=$work/hs_err" -Xmx256m "${mode[@]}" \
    -cp "$work/classes" Host "$@" "$work/libguest.so" "$work/guest.wasm"
}

for binding in "${bindings[@]}"; do
  # The interpreter makes every null check by a fault; compiled code those it does not expect to fail.
  for mode in -XX:+UseParallelGC -Xint "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"; do
    read -ra mode <<<"$mode"
    run traps "$binding"
    echo "java $version $binding ${mode[*]}: passed"
  done
  mode=(-Xshare:auto)
  # A fault of the host's own C code, below wasm's frames, is the JVM's report and the JVM's abort.
  status=0
  said=$(run crash "$binding" 2>&1) || status=$?
  if [[ $status != 134 || $said != *"SIGSEGV"*"Problematic frame"*"CrashInC"* ]]; then
    printf 'run.sh: a crash in C ends with %s, not the JVM'\''s report and 134:\n%s\n' "$status" "$said" >&2
    exit 1
  fi
  echo "java $version $binding crash: passed"
done
