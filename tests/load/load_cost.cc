// load_cost FAMILY COUNT [lazy|eager]: loads a module that has COUNT of something, and prints its
// size, what came of it, CPU time and the most memory that the process took, as JSON.
// tests/load/bounded_load.py runs it under callgrind, which counts instructions.
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/api/engine.h"
#include "tests/support/wasm_builder.h"

namespace {

using wasmd::engine::Append;
using wasmd::engine::Body;
using wasmd::engine::Bytes;
using wasmd::engine::Concat;
using wasmd::engine::CustomSectionBytes;
using wasmd::engine::FuncTypeBytes;
using wasmd::engine::Leb;
using wasmd::engine::NameBytes;
using wasmd::engine::Section;
using wasmd::engine::Sized;
using wasmd::engine::WasmModule;

constexpr uint8_t kI32 = 0x7f;
constexpr uint8_t kI64 = 0x7e;

Bytes Repeated(size_t count, const std::function<Bytes(size_t)>& make) {
  Bytes all = Leb(count);
  for (size_t i = 0; i < count; ++i) {
    Append(all, make(i));
  }
  return all;
}

Bytes Same(size_t count, const Bytes& one) {
  return Repeated(count, [&](size_t) { return one; });
}

Bytes Plain(size_t count, const Bytes& one) {
  Bytes all;
  for (size_t i = 0; i < count; ++i) {
    Append(all, one);
  }
  return all;
}

Bytes Functions(size_t count, const std::function<Bytes(size_t)>& body) {
  return WasmModule({Section(1, Same(1, FuncTypeBytes({}, {}))), Section(3, Same(count, {0x00})),
                     Section(10, Repeated(count, body))});
}

// A function (i32, i32) -> ().
Bytes OneBody(const Bytes& code, const std::vector<Bytes>& locals = {}) {
  return WasmModule({Section(1, Same(1, FuncTypeBytes({kI32, kI32}, {}))),
                     Section(3, Same(1, {0x00})),
                     Section(10, Same(1, Body(locals, Concat({code, {0x0b}}))))});
}

const std::map<std::string, std::function<Bytes(size_t)>>& Families() {
  static const auto& families = *new std::map<std::string, std::function<Bytes(size_t)>>{
      {"functions", [](size_t n) { return Functions(n, [](size_t) { return Body({}, {0x0b}); }); }},
      // Each declares as many as it may, and uses the last.
      {"functions_of_many_locals",
       [](size_t n) {
         return Functions(n, [](size_t) {
           return Body({Concat({Leb(50'000), {kI32}})}, {0x20, 0xcf, 0x86, 0x03, 0x1a, 0x0b});
         });
       }},
      {"locals",
       [](size_t n) {
         Bytes code;
         for (size_t i = 0; i < n; ++i) {
           Append(code, Concat({{0x20}, Leb(i), {0x21}, Leb(i + 1)}));
         }
         return OneBody(code, {Concat({Leb(n), {kI32}})});
       }},
      {"local_groups",
       [](size_t n) { return OneBody({}, std::vector<Bytes>(n, Bytes{0x01, kI32})); }},
      // Locals that are alive across labels: what liveness costs.
      {"locals_and_labels",
       [](size_t n) {
         Bytes code;
         for (size_t i = 0; i < n; ++i) {
           Append(
               code,
               Concat({{0x03, 0x40, 0x20}, Leb(i), {0x22}, Leb((i + 13) % n), {0x0d, 0x00, 0x0b}}));
         }
         return OneBody(code, {Concat({Leb(n), {kI32}})});
       }},
      {"br_table",
       [](size_t n) {
         return OneBody(
             Concat({{0x02, 0x40, 0x20, 0x00, 0x0e}, Leb(n), Bytes(n + 1, 0x00), {0x0b}}));
       }},
      // Each of the blocks is a target once.
      {"br_table_of_blocks",
       [](size_t n) {
         Bytes code = Concat({Plain(n, {0x02, 0x40}), {0x20, 0x00, 0x0e}, Leb(n - 1)});
         for (size_t i = 0; i < n; ++i) {
           Append(code, Leb(i));
         }
         return OneBody(Concat({code, Bytes(n, 0x0b)}));
       }},
      {"br_tables",
       [](size_t n) {
         return OneBody(Concat({Plain(n, {0x02, 0x40}),
                                Plain(n, {0x20, 0x00, 0x0e, 0x03, 0x00, 0x00, 0x00, 0x00, 0x0b})}));
       }},
      {"blocks",
       [](size_t n) { return OneBody(Concat({Plain(n, {0x02, 0x40}), Bytes(n, 0x0b)})); }},
      {"loops",
       [](size_t n) {
         return OneBody(Concat({Plain(n, {0x20, 0x00, 0x21, 0x01, 0x03, 0x40}),
                                Plain(n, {0x20, 0x00, 0x0d, 0x00, 0x0b})}));
       }},
      {"ifs",
       [](size_t n) {
         return OneBody(Concat({Plain(n, {0x20, 0x00, 0x04, 0x40}), Plain(n, {0x05, 0x0b})}));
       }},
      {"operands",
       [](size_t n) { return OneBody(Concat({Plain(n, {0x20, 0x00}), Bytes(n, 0x1a)})); }},
      // A block of a thousand results in each level: two bytes of code that move them all.
      {"wide_blocks",
       [](size_t n) {
         const Bytes many(1'000, kI64);
         return WasmModule(
             {Section(1, Concat({{0x02}, FuncTypeBytes({}, {}), FuncTypeBytes(many, many)})),
              Section(3, Same(1, {0x00})),
              Section(10, Same(1, Body({}, Concat({Plain(1'000, {0x42, 0x00}),
                                                   Plain(n, {0x02, 0x01, 0x0b}),
                                                   Bytes(1'000, 0x1a),
                                                   {0x0b}}))))});
       }},
      {"wide_calls",
       [](size_t n) {
         const Bytes many(1'000, kI64);
         return WasmModule(
             {Section(1, Concat({{0x02}, FuncTypeBytes({}, {}), FuncTypeBytes(many, many)})),
              Section(2, Same(1, Concat({NameBytes("m"), NameBytes("f"), {0x00, 0x01}}))),
              Section(3, Same(1, {0x00})),
              Section(10, Same(1, Body({}, Concat({Plain(1'000, {0x42, 0x00}),
                                                   Plain(n, {0x10, 0x00}),
                                                   Bytes(1'000, 0x1a),
                                                   {0x0b}}))))});
       }},
      {"types",
       [](size_t n) {
         return WasmModule({Section(1, Repeated(n, [](size_t i) {
                                      Bytes params;
                                      for (; i != 0; i >>= 1) {
                                        params.push_back((i & 1) != 0 ? kI32 : kI64);
                                      }
                                      return FuncTypeBytes(params, {});
                                    }))});
       }},
      {"imports",
       [](size_t n) {
         return WasmModule(
             {Section(1, Same(1, FuncTypeBytes({}, {}))),
              Section(2, Repeated(n, [](size_t i) {
                        return Concat({NameBytes("m"), NameBytes(std::to_string(i)), {0x00, 0x00}});
                      }))});
       }},
      {"exports",
       [](size_t n) {
         return WasmModule({Section(1, Same(1, FuncTypeBytes({}, {}))), Section(3, Same(1, {0x00})),
                            Section(7, Repeated(n,
                                                [](size_t i) {
                                                  return Concat(
                                                      {NameBytes(std::to_string(i)), {0x00, 0x00}});
                                                })),
                            Section(10, Same(1, Body({}, {0x0b})))});
       }},
      {"globals",
       [](size_t n) { return WasmModule({Section(6, Same(n, {kI32, 0x00, 0x41, 0x00, 0x0b}))}); }},
      {"const_ops",
       [](size_t n) {
         return WasmModule(
             {Section(6, Concat({{0x02, kI32, 0x00, 0x41, 0x00, 0x0b, kI32, 0x00, 0x23, 0x00},
                                 Plain(n, {0x23, 0x00, 0x6a}),
                                 {0x0b}}))});
       }},
      {"data_segments",
       [](size_t n) {
         return WasmModule({Section(5, Same(1, {0x00, 0x01})),
                            Section(11, Same(n, {0x00, 0x41, 0x00, 0x0b, 0x01, 0x2a}))});
       }},
      {"element_segments",
       [](size_t n) {
         return WasmModule({Section(4, Same(1, {0x70, 0x00, 0x01})),
                            Section(9, Same(n, {0x04, 0x41, 0x00, 0x0b, 0x01, 0xd0, 0x70, 0x0b}))});
       }},
      {"elements",
       [](size_t n) {
         return WasmModule({Section(1, Same(1, FuncTypeBytes({}, {}))), Section(3, Same(1, {0x00})),
                            Section(9, Same(1, Concat({{0x01, 0x00}, Same(n, {0x00})}))),
                            Section(10, Same(1, Body({}, {0x0b})))});
       }},
      {"tables", [](size_t n) { return WasmModule({Section(4, Same(n, {0x70, 0x00, 0x00}))}); }},
      {"names",
       [](size_t n) {
         return Concat({Functions(n, [](size_t) { return Body({}, {0x0b}); }),
                        CustomSectionBytes(
                            "name", Concat({{0x01}, Sized(Repeated(n, [](size_t i) {
                                              return Concat({Leb(i), NameBytes(std::to_string(i))});
                                            }))}))});
       }},
      {"customs", [](size_t n) { return WasmModule({Plain(n, CustomSectionBytes("c", {}))}); }},
  };
  return families;
}

// Under a name of its own: what bounded_load.py counts.
[[gnu::noinline]] absl::StatusOr<std::shared_ptr<wasmd::engine::LoadedModule>> CountedLoad(
    const wasmd::engine::Engine& engine, const std::shared_ptr<const std::vector<std::byte>>& bytes,
    const wasmd::engine::LoadOptions& options) {
  return engine.Load(bytes, options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    for (const auto& [name, make] : Families()) {
      std::printf("%s\n", name.c_str());
    }
    return argc == 1 ? 0 : 64;
  }
  const auto family = Families().find(argv[1]);
  if (family == Families().end()) {
    std::fprintf(stderr, "load_cost: no family %s\n", argv[1]);
    return 64;
  }
  const Bytes wasm = family->second(std::strtoull(argv[2], nullptr, 10));
  auto engine = wasmd::engine::Engine::Create({});
  if (!engine.ok()) {
    std::fprintf(stderr, "load_cost: %s\n", engine.status().ToString().c_str());
    return 1;
  }
  wasmd::engine::LoadOptions options;
  options.mode = argc > 3 && std::string(argv[3]) == "lazy" ? wasmd::engine::CompileMode::kLazy
                                                            : wasmd::engine::CompileMode::kEager;
  const auto bytes = wasmd::engine::AsBytes(wasm);
  const auto module_bytes =
      std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const std::clock_t begin = std::clock();
  const auto module = CountedLoad(**engine, module_bytes, options);
  const std::clock_t end = std::clock();
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  std::printf(
      "{\"module_bytes\": %zu, \"status\": \"%s\", \"cpu_ms\": %.1f, \"peak_kib\": %ld}\n",
      wasm.size(), module.ok() ? "OK" : absl::StatusCodeToString(module.status().code()).c_str(),
      static_cast<double>(end - begin) * 1e3 / CLOCKS_PER_SEC, after.ru_maxrss - before.ru_maxrss);
  if (!module.ok()) {
    std::fprintf(stderr, "load_cost: %s\n",
                 std::string(module.status().message()).substr(0, 300).c_str());
  }
  return 0;
}
