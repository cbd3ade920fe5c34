# The programs of `scripts/bench.sh compute`: C sources from crates, each linked with its driver in
# tests/guests/compute, once for wasm32-wasi and once native, both by clang-19 -O2. Sourced by
# scripts/programs.sh.
#
# Bulk memory and the saturating conversions are what clang emits by default since version 20.

compute_wasm_flags=(--target=wasm32-wasi -mbulk-memory -mnontrapping-fptoint -Wl,--strip-debug
  -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS)
compute_wasm_libs=(-lwasi-emulated-signal -lwasi-emulated-process-clocks)
compute_names=(sqlite lua zstd bzip2 zlib brotli sodium quickjs mark gemm lu jacobi floyd nussinov)

# Sets `flags` and `sources` for one program; false where its crate cannot be had.
compute_recipe() {
  flags=()
  sources=()
  case $1 in
    sqlite)
      crate libsqlite3-sys || return 1
      flags=("${sqlite_flags[@]}" -I "$crate_dir/sqlite3")
      sources=("$crate_dir/sqlite3/sqlite3.c")
      ;;
    lua)
      crate lua-src || return 1
      local lua=$crate_dir/lua-5.4.9 file
      # Without setjmp, which wasi-libc of 2022 lacks, an error ends the program; the script has none.
      # Native gets the same, so that both run the same code.
      flags=(-I "$guests/compute/no_setjmp" -I "$lua" '-DLUAI_THROW(L,c)=abort()' '-DLUAI_TRY(L,c,a)={a}' -Dluai_jmpbuf=int)
      for file in lapi lauxlib lbaselib lcode lctype ldebug ldo ldump lfunc lgc llex lmathlib lmem \
        lobject lopcodes lparser lstate lstring lstrlib ltable ltablib ltm lundump lvm lzio; do
        sources+=("$lua/$file.c")
      done
      ;;
    zstd)
      crate zstd-sys || return 1
      flags=(-I "$crate_dir/zstd/lib" -DZSTD_DISABLE_ASM -DXXH_NAMESPACE=ZSTD_)
      sources=("$crate_dir"/zstd/lib/{common,compress,decompress}/*.c)
      ;;
    bzip2)
      crate bzip2-sys || return 1
      flags=(-I "$crate_dir/bzip2-1.0.8" -DBZ_NO_STDIO)
      local file
      for file in blocksort bzlib compress crctable decompress huffman randtable; do
        sources+=("$crate_dir/bzip2-1.0.8/$file.c")
      done
      ;;
    zlib)
      crate libz-sys || return 1
      flags=(-I "$crate_dir/src/zlib")
      local file
      for file in adler32 compress crc32 deflate inffast inflate inftrees trees uncompr zutil; do
        sources+=("$crate_dir/src/zlib/$file.c")
      done
      ;;
    brotli)
      crate brotlic-sys || return 1
      flags=(-I "$crate_dir/brotli/c/include")
      sources=("$crate_dir"/brotli/c/{common,enc,dec}/*.c)
      ;;
    sodium)
      crate libsodium-sys-stable || return 1
      local lib=$crate_dir/libsodium-stable/src/libsodium
      [[ -d $lib ]] || tar -xzf "$crate_dir/LATEST.tar.gz" -C "$crate_dir"
      cp "$crate_dir/libsodium-stable/builds/msvc/version.h" "$lib/include/sodium/version.h"
      # CONFIGURED and no instruction set: the portable code on both sides.
      flags=(-DCONFIGURED -DSODIUM_STATIC -I "$lib/include" -I "$lib/include/sodium")
      sources=("$lib"/crypto_hash/sha512/{hash_sha512.c,cp/hash_sha512_cp.c}
        "$lib"/crypto_generichash/blake2b/ref/{blake2b-compress-ref,blake2b-ref,generichash_blake2b}.c
        "$lib"/crypto_stream/chacha20/{stream_chacha20.c,ref/chacha20_ref.c}
        "$lib"/crypto_onetimeauth/poly1305/{onetimeauth_poly1305.c,donna/poly1305_donna.c}
        "$lib"/crypto_scalarmult/curve25519/{scalarmult_curve25519.c,ref10/x25519_ref10.c}
        "$lib"/crypto_core/ed25519/ref10/ed25519_ref10.c
        "$lib"/crypto_verify/verify.c "$lib"/sodium/{utils,runtime}.c)
      ;;
    quickjs)
      crate rquickjs-sys || return 1
      local js=$crate_dir/quickjs
      flags=(-I "$js" -D_GNU_SOURCE -DFE_DOWNWARD=0 -DFE_UPWARD=0)
      sources=("$js"/{quickjs,libregexp,libunicode,dtoa}.c)
      ;;
  esac
}

# compute_build SET FLAGS WASM_FLAGS NAME…: builds programs for wasm and native into the cache's folder SET, both
# with FLAGS, the wasm one with WASM_FLAGS too: words in one argument.
compute_build() {
  local set=$1 both wasm name to=$cache/$1 flags sources
  read -ra both <<<"$2"
  read -ra wasm <<<"$3"
  shift 3
  mkdir -p "$to"
  for name in "$@"; do
    compute_recipe "$name" || continue
    fresh "${set}_$name" "$to/$name.native" "$guests/compute/$name.c" "$guests/compute/bench.h" \
      "${both[*]} ${wasm[*]} ${compute_wasm_flags[*]} ${flags[*]}" "${sources[@]}" && [[ -f $to/$name.wasm ]] && continue
    say "building $set/$name"
    if "$cc" "${both[@]}" "${wasm[@]}" -w "${compute_wasm_flags[@]}" "${flags[@]}" -I "$guests/compute" \
      "$guests/compute/$name.c" "${sources[@]}" -lm "${compute_wasm_libs[@]}" -o "$to/$name.wasm" &&
      "$cc" "${both[@]}" -w "${flags[@]}" -I "$guests/compute" "$guests/compute/$name.c" "${sources[@]}" -lm \
        -o "$to/$name.native"; then
      stamp "${set}_$name"
    else
      fail "$set $name: the build failed"
    fi
  done
}

compute_all() {
  need_wasi compute || return 1
  compute_build compute -O2 "" "${compute_names[@]}"
}
