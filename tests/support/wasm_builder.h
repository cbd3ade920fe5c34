// Wasm binaries put together by hand, for tests of what no assembler would write.
//
//   const Bytes wasm = WasmModule({
//       Section(1, Vec({FuncTypeBytes({kI32}, {kI32})})),
//       Section(3, Vec({Leb(0)})),
//       Section(10, Vec({Body({}, {0x20, 0x00, 0x0b})})),
//   });
//   DecodeModule(AsBytes(wasm));
//
// For valid modules write text and use tests/support/wat.h. Spec: binary-module
#ifndef WASMD_TESTS_SUPPORT_WASM_BUILDER_H_
#define WASMD_TESTS_SUPPORT_WASM_BUILDER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace wasmd::engine {

using Bytes = std::vector<uint8_t>;

inline std::span<const std::byte> AsBytes(const Bytes& bytes) {
  return std::as_bytes(std::span(bytes));
}

inline void Append(Bytes& to, const Bytes& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// Unsigned LEB128, at least `min_bytes` long (padded with zeros, as linkers do).
inline Bytes Leb(uint64_t value, size_t min_bytes = 1) {
  Bytes bytes;
  do {
    bytes.push_back(static_cast<uint8_t>(value & 0x7f));
    value >>= 7;
    if (value != 0 || bytes.size() < min_bytes) {
      bytes.back() |= 0x80;
    }
  } while (value != 0 || bytes.size() < min_bytes);
  return bytes;
}

// Signed LEB128.
inline Bytes SignedLeb(int64_t value) {
  Bytes bytes;
  for (;;) {
    const auto byte = static_cast<uint8_t>(value & 0x7f);
    value >>= 7;
    const bool is_last = (value == 0 && (byte & 0x40) == 0) || (value == -1 && (byte & 0x40) != 0);
    bytes.push_back(is_last ? byte : static_cast<uint8_t>(byte | 0x80));
    if (is_last) {
      return bytes;
    }
  }
}

inline Bytes Concat(const std::vector<Bytes>& parts) {
  Bytes bytes;
  for (const Bytes& part : parts) {
    Append(bytes, part);
  }
  return bytes;
}

// The count, then the elements.
inline Bytes Vec(const std::vector<Bytes>& elements) {
  Bytes bytes = Leb(elements.size());
  Append(bytes, Concat(elements));
  return bytes;
}

// The size, then the bytes.
inline Bytes Sized(const Bytes& contents) {
  Bytes bytes = Leb(contents.size());
  Append(bytes, contents);
  return bytes;
}

inline Bytes NameBytes(std::string_view name) {
  return Sized(Bytes(name.begin(), name.end()));
}

inline Bytes FuncTypeBytes(const Bytes& params, const Bytes& results) {
  return Concat({{0x60}, Sized(params), Sized(results)});
}

// A code section's entry. `local_groups`: each a count and a type, encoded.
inline Bytes Body(const std::vector<Bytes>& local_groups, const Bytes& code) {
  return Sized(Concat({Vec(local_groups), code}));
}

inline Bytes Section(uint8_t id, const Bytes& contents) {
  return Concat({{id}, Sized(contents)});
}

inline Bytes CustomSectionBytes(std::string_view name, const Bytes& contents) {
  return Section(0, Concat({NameBytes(name), contents}));
}

inline const Bytes& WasmHeader() {
  static const auto& header = *new Bytes{0x00, 'a', 's', 'm', 0x01, 0x00, 0x00, 0x00};
  return header;
}

inline Bytes WasmModule(const std::vector<Bytes>& sections) {
  return Concat({WasmHeader(), Concat(sections)});
}

// A module of one function of type [params] -> [results] and one page of memory.
inline Bytes OneFunction(const Bytes& params, const Bytes& results, const Bytes& code,
                         const std::vector<Bytes>& local_groups = {}) {
  return WasmModule({
      Section(1, Vec({FuncTypeBytes(params, results)})),
      Section(3, Vec({Leb(0)})),
      Section(5, Vec({{0x00, 0x01}})),
      Section(10, Vec({Body(local_groups, code)})),
  });
}

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_SUPPORT_WASM_BUILDER_H_
