# The programs of `scripts/bench.sh simd`: those of `compute` that vectorise, by clang-19 -O3
# -msimd128, and BLAKE3 in Rust, whose crate has an implementation in wasm's vectors. Native builds
# have 128-bit vectors too: clang's -O3 for plain x86-64, and BLAKE3's SSE4.1. Sourced by
# scripts/programs.sh.

simd_names=(gemm jacobi fdtd sodium)

simd_blake3() {
  local source=$guests/compute/blake3 to=$cache/simd target=wasm32-wasip1 work=$cache/simd/.blake3
  fresh simd_blake3 "$to/blake3.native" "$source/Cargo.toml" "$source/Cargo.lock" "$source/src/main.rs" &&
    [[ -f $to/blake3.wasm ]] && return 0
  need simd_blake3 cargo "$cc" || return 1
  need_rust_target simd_blake3 "$target" || return 1
  say "building simd/blake3"
  # Fetching first tells a registry out of reach from a build that fails.
  if ! retry cargo fetch --locked --manifest-path "$source/Cargo.toml"; then
    unreachable simd_blake3
    return 1
  fi
  local build=(cargo build --quiet --release --locked --offline --manifest-path "$source/Cargo.toml" --target-dir "$work")
  if RUSTFLAGS='-C target-feature=+simd128' "${build[@]}" --target "$target" && CC=$cc "${build[@]}"; then
    mv "$work/$target/release/blake3_bench.wasm" "$to/blake3.wasm"
    mv "$work/release/blake3_bench" "$to/blake3.native"
    stamp simd_blake3
  else
    fail "simd blake3: the build failed"
  fi
  rm -rf "$work"
}

simd_all() {
  need_wasi simd || return 1
  compute_build simd -O3 -msimd128 "${simd_names[@]}"
  simd_blake3
}
