#!/usr/bin/env bash
# Installs the C library from a build folder into a temporary prefix, moves that elsewhere, and builds and runs a C program
# against it: by pkg-config, and by CMake's find_package.
#
#   tests/sdk/c/install.sh BUILD_FOLDER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --component capi --prefix "$work/first" >/dev/null
mv "$work/first" "$work/prefix"  # What says where it was installed is found out here.
lib=$(dirname "$(find "$work/prefix" -name libwasmd.so)")
wanted=$'40 + 2 = 42\ntrap: unreachable'

check() {
  local said
  said=$("$1")
  [[ $said == "$wanted" ]] || {
    printf 'install.sh: %s says:\n%s\n' "$2" "$said" >&2
    exit 1
  }
}

export PKG_CONFIG_PATH=$lib/pkgconfig
read -ra cflags < <(pkg-config --cflags wasmd)
read -ra libs < <(pkg-config --libs wasmd)
cc -Wall -Werror "${cflags[@]}" "$here/add.c" -o "$work/by_pkg_config" "${libs[@]}" "-Wl,-rpath,$lib"
check "$work/by_pkg_config" "the program built with pkg-config"
readelf -d "$work/by_pkg_config" | grep -q 'NEEDED.*\[libwasmd\.so\.[0-9]*\]' || {
  echo "install.sh: the program does not ask for a versioned libwasmd.so" >&2
  exit 1
}

mkdir "$work/project"
cp "$here/add.c" "$work/project"
cat >"$work/project/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(embedder LANGUAGES C)
find_package(wasmd 0.1 REQUIRED CONFIG)
add_executable(add add.c)
target_link_libraries(add PRIVATE wasmd::wasmd)
END
cmake -S "$work/project" -B "$work/project/build" "-DCMAKE_PREFIX_PATH=$work/prefix" >/dev/null
cmake --build "$work/project/build" >/dev/null
check "$work/project/build/add" "the program built with find_package"
