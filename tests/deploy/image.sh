#!/usr/bin/env bash
# Builds the Dockerfile's image without a container engine and runs it once: buildah with chroot isolation, on a base that
# mmdebstrap makes from this machine's own package sources. Then checks that the image keeps its health check, that the
# daemon runs as the user without rights, and that a program runs in it.
#
#   tests/deploy/image.sh          as root; ten minutes, nothing of it is kept
#
# Part of `scripts/test.sh --long`. Exit code 77: not root.
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

[[ $(id -u) == 0 ]] || { say "******** SKIPPED: the image test needs root ********"; [[ ${CI:-} == true ]] && exit 1; exit 77; }
need_packages Image Guest

work=$(mktemp -d)
daemon=""
cleanup() {
  [[ -z $daemon ]] || { kill -TERM "$daemon" 2>/dev/null && wait "$daemon" || true; }
  b rm --all >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT
b() { buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"; }

sources=/etc/apt/sources.list.d/debian.sources
[[ -f $sources ]] || sources=/etc/apt/sources.list
say "making the base"
mmdebstrap --quiet --mode=root --variant=minbase bookworm "$work/base.tar" - <"$sources"
container=$(b from scratch)
b add --quiet "$container" "$work/base.tar" / >/dev/null
b commit --quiet "$container" localhost/debian:12 >/dev/null
b rm "$container" >/dev/null

say "building the image"
git archive HEAD >"$work/tree.tar"
mkdir "$work/tree"
tar -xf "$work/tree.tar" -C "$work/tree"
b bud --quiet --isolation chroot --format docker --build-arg BASE=localhost/debian:12 --tag localhost/wasmd "$work/tree" \
  >"$work/build.log" 2>&1 || { tail -n 30 "$work/build.log" >&2; die "the image does not build"; }
b inspect --type image localhost/wasmd | python3 -c '
import json, sys
docker = json.load(sys.stdin)["Docker"]["config"]
assert docker["Healthcheck"]["Test"] == ["CMD", "wasmctl", "health"], docker.get("Healthcheck")
assert docker["User"] == "65532:65532", docker["User"]
assert docker["Entrypoint"] == ["wasmd"], docker["Entrypoint"]'

say "running it"
container=$(b from localhost/wasmd)
tests/guests/build.sh "$work" hello
b copy --quiet "$container" "$work/hello.wasm" /hello.wasm >/dev/null
# With chroot isolation a run does not start the entry point by itself.
in_image() { b run --isolation chroot --user 65532:65532 "$container" -- "$@"; }
b run --isolation chroot --user 65532:65532 "$container" -- wasmd --listen unix:/run/wasmd/wasmd.sock >"$work/wasmd.log" 2>&1 &
daemon=$!
for ((i = 0; i < 100; ++i)); do
  in_image wasmctl health >/dev/null 2>&1 && break
  sleep 0.1
done
in_image wasmctl health || { cat "$work/wasmd.log" >&2; die "the daemon in the image does not answer"; }
[[ $(in_image id -u) == 65532 ]] || die "the image does not run as its user"
[[ $(in_image wasmctl run /hello.wasm) == "hello, world" ]] || die "hello does not run in the image"
say "the image builds, is healthy and runs a program: $(b images --format '{{.Size}}' localhost/wasmd)"
