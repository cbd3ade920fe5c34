// What wasm.h costs: a call and a trap through it, beside the same through the engine's own untyped
// call.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include <benchmark/benchmark.h>

#include "engine/api/engine.h"
#include "engine/capi/wasm.h"
#include "tests/support/wasm_builder.h"
#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

constexpr char kGuest[] =
    "(module (import \"\" \"f\" (func $f (param i32) (result i32)))"
    " (func (export \"add\") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))"
    " (func (export \"div\") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))"
    " (func (export \"host\") (param i32 i32) (result i32) (call $f (local.get 0))))";
constexpr size_t kAdd = 0;
constexpr size_t kDiv = 1;
constexpr size_t kHost = 2;

wasm_trap_t* Identity(const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  results->data[0] = args->data[0];
  return nullptr;
}

// The guest behind wasm.h. Lives as long as the process.
struct CGuest {
  CGuest() {
    const Bytes wasm = Wat(kGuest);
    wasm_byte_vec_t bytes;
    wasm_byte_vec_new(&bytes, wasm.size(), reinterpret_cast<const char*>(wasm.data()));
    wasm_store_t* const store = wasm_store_new(wasm_engine_new());
    wasm_func_t* const func = wasm_func_new(
        store, wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32()), Identity);
    std::array<wasm_extern_t*, 1> import_data = {wasm_func_as_extern(func)};
    const wasm_extern_vec_t imports = {import_data.size(), import_data.data()};
    wasm_instance_exports(
        wasm_instance_new(store, wasm_module_new(store, &bytes), &imports, nullptr), &exports);
  }
  wasm_extern_vec_t exports;
};

void BenchC(benchmark::State& state, size_t index, int32_t second, bool must_trap) {
  static const CGuest& guest = *new CGuest;
  const wasm_func_t* const func = wasm_extern_as_func(guest.exports.data[index]);
  std::array<wasm_val_t, 2> arg_data = {wasm_val_t{.kind = WASM_I32, .of = {.i32 = 40}},
                                        wasm_val_t{.kind = WASM_I32, .of = {.i32 = second}}};
  std::array<wasm_val_t, 1> result_data = {};
  const wasm_val_vec_t args = {arg_data.size(), arg_data.data()};
  wasm_val_vec_t results = {result_data.size(), result_data.data()};
  for (auto _ : state) {  // NOLINT(clang-analyzer-deadcode.DeadStores)
    wasm_trap_t* const trap = wasm_func_call(func, &args, &results);
    if ((trap != nullptr) != must_trap) {
      std::abort();
    }
    wasm_trap_delete(trap);
  }
}

void BenchEngine(benchmark::State& state, const char* name, int32_t second, bool must_trap) {
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Create({});
  const Bytes wasm = Wat(kGuest);
  const auto* const data = reinterpret_cast<const std::byte*>(wasm.data());
  auto module = (*engine)->Load(std::vector<std::byte>(data, data + wasm.size()), {});
  Linker linker;
  linker.DefineFunc("", "f", {{ValType::kI32}, {ValType::kI32}},
                    [](HostContext&, std::span<const Value> args, std::span<Value> results) {
                      results[0] = args[0];
                      return HostResult::Ok();
                    });
  Store store((*engine)->runtime());
  absl::StatusOr<Instantiation> made = linker.Instantiate(store, *module);
  const FuncHandle func = *made->instance->Func(name);
  const std::array args = {Value::I32(40), Value::I32(second)};
  std::array<Value, 1> results;
  for (auto _ : state) {  // NOLINT(clang-analyzer-deadcode.DeadStores)
    const absl::StatusOr<Outcome<void>> outcome = func.Call(args, results);
    if (!outcome.ok() || outcome->ok() == must_trap) {
      std::abort();
    }
  }
}

BENCHMARK_CAPTURE(BenchC, capi_add, kAdd, 2, false);
BENCHMARK_CAPTURE(BenchEngine, untyped_add, "add", 2, false);
BENCHMARK_CAPTURE(BenchC, capi_host, kHost, 2, false);
BENCHMARK_CAPTURE(BenchEngine, untyped_host, "host", 2, false);
BENCHMARK_CAPTURE(BenchC, capi_trap_branch, kDiv, 0, true);
BENCHMARK_CAPTURE(BenchEngine, untyped_trap_branch, "div", 0, true);

}  // namespace
}  // namespace wasmd::engine
