#include "tests/fuzz/fuzz_outcome.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/api/engine.h"
#include "engine/base/check.h"
#include "engine/binary/decode_module.h"
#include "engine/validate/validate.h"
#include "engine/wasm/module.h"
#include "engine/wasm/trap_code.h"
#include "engine/wasm/types.h"

namespace wasmd::tests {

namespace {

using namespace wasmd::engine;  // NOLINT(google-build-using-namespace)

// splitmix64: as good as random, and the same in every language.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// For printf.
unsigned long long Wide(uint64_t bits) {
  return bits;
}

// Small, small negative, any, or about a power of two.
uint64_t FuzzBits(uint64_t seed) {
  const uint64_t random = Mix(seed);
  const uint64_t rest = random >> 2;
  switch (random & 3) {
    case 0:
      return rest % 16;
    case 1:
      return 0 - rest % 16;
    case 2:
      return Mix(random);
    default:
      return (uint64_t{1} << (rest % 64)) - ((rest >> 6) & 1);
  }
}

Value Argument(ValType type, uint64_t seed) {
  const uint64_t bits = FuzzBits(seed);
  switch (type) {
    case ValType::kI32:
      return Value::I32(static_cast<uint32_t>(bits));
    case ValType::kI64:
      return Value::I64(bits);
    case ValType::kF32:
      return (seed & 1) != 0 ? Value::F32(static_cast<float>(static_cast<int64_t>(bits)))
                             : Value::F32Bits(static_cast<uint32_t>(bits));
    case ValType::kF64:
      return (seed & 1) != 0 ? Value::F64(static_cast<double>(static_cast<int64_t>(bits)))
                             : Value::F64Bits(bits);
    case ValType::kV128:
      return {type, bits, FuzzBits(seed ^ 0x5555)};
    default:
      return Value::Null(type);
  }
}

void Print(std::string& text, const Value& value) {
  char buffer[64];
  switch (value.type) {
    case ValType::kI32:
      std::snprintf(buffer, sizeof buffer, " i32:%x", value.i32());
      break;
    case ValType::kI64:
      std::snprintf(buffer, sizeof buffer, " i64:%llx", Wide(value.bits));
      break;
    case ValType::kF32:
      std::snprintf(buffer, sizeof buffer, " f32:%x",
                    std::isnan(value.f32()) ? 0x7fc00000U : value.i32());
      break;
    case ValType::kF64:
      std::snprintf(buffer, sizeof buffer, " f64:%llx",
                    std::isnan(value.f64()) ? 0x7ff8000000000000ULL : Wide(value.bits));
      break;
    case ValType::kV128:
      std::snprintf(buffer, sizeof buffer, " v128:%llx:%llx", Wide(value.bits), Wide(value.hi));
      break;
    default:
      std::snprintf(buffer, sizeof buffer, " ref:%d", value.is_null_ref() ? 0 : 1);
  }
  text += buffer;
}

uint64_t Hash(std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i + sizeof(uint64_t) <= bytes.size(); i += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    hash = std::rotl((hash ^ word) * 0x100000001b3, 23);
  }
  return hash;
}

// Appends how a call ended; false if nothing that follows can be compared.
bool PrintStop(std::string& text, const Outcome<void>& outcome) {
  if (const Trap* trap = outcome.trap()) {
    if (trap->code == TrapCode::kStackOverflow) {
      text += "exhausted\n";
      return false;
    }
    text += " trap ";
    // Other engines have one word for all null references.
    text += trap->code == TrapCode::kNullExceptionReference ? ToString(TrapCode::kNullReference)
                                                            : ToString(trap->code);
    return true;
  }
  if (const Exception* exception = outcome.exception()) {
    text += " exception";
    for (const Value& value : exception->values) {
      Print(text, value);
    }
    return true;
  }
  text += ToString(outcome.stop());
  return true;
}

// The values that an import is linked to.
absl::StatusOr<Extern> DefaultOf(Store& store, const ExternType& type) {
  if (const auto* func = std::get_if<FuncType>(&type)) {
    return store.CreateFunc(*func, [](HostContext&, std::span<const Value>, std::span<Value>) {
      return HostResult::Ok();
    });
  }
  if (const auto* table = std::get_if<TableType>(&type)) {
    return store.CreateTable(*table, Value::Null(table->element));
  }
  if (const auto* memory = std::get_if<MemoryType>(&type)) {
    return store.CreateMemory(*memory);
  }
  if (const auto* tag = std::get_if<TagType>(&type)) {
    return store.CreateTag(tag->type);
  }
  const auto& global = std::get<GlobalType>(type);
  return store.CreateGlobal(global, Value{global.type});
}

void PrintState(std::string& text, Instance& instance, const std::vector<ExportType>& exports) {
  char buffer[96];
  for (size_t i = 0; i < exports.size(); ++i) {
    const Extern value = *instance.FindExport(exports[i].name);
    if (const auto* global = std::get_if<GlobalHandle>(&value)) {
      std::snprintf(buffer, sizeof buffer, "%zu global", i);
      text += buffer;
      Print(text, global->Get());
      text += '\n';
    } else if (const auto* memory = std::get_if<MemoryHandle>(&value)) {
      std::snprintf(buffer, sizeof buffer, "%zu memory %llu %llx\n", i, Wide(memory->size_bytes()),
                    Wide(Hash(memory->bytes())));
      text += buffer;
    } else if (const auto* table = std::get_if<TableHandle>(&value)) {
      std::snprintf(buffer, sizeof buffer, "%zu table %llu ", i, Wide(table->size()));
      text += buffer;
      for (uint64_t element = 0; element < table->size(); ++element) {
        text += table->Get(element)->is_null_ref() ? '0' : '1';
      }
      text += '\n';
    }
  }
}

// Frames of code for AVX and for SSE4.1 differ in size, so recursion ends at different depths: what
// came before it is compared.
bool Agree(std::string_view a, std::string_view b) {
  const auto apart = std::ranges::mismatch(a, b);
  if (apart.in1 == a.end() && apart.in2 == b.end()) {
    return true;
  }
  const auto line_at = [](std::string_view text, std::string_view::iterator at) {
    const size_t end = text.find('\n', static_cast<size_t>(at - text.begin()));
    return text.substr(0, end);
  };
  return line_at(a, apart.in1).ends_with("exhausted") ||
         line_at(b, apart.in2).ends_with("exhausted");
}

std::unique_ptr<Engine> EngineWith(const EngineOptions& options) {
  absl::StatusOr<std::unique_ptr<Engine>> made = Engine::Create(options);
  WASMD_CHECK(made.ok());
  WASMD_CHECK((*made)->bounds_checks() == options.bounds_checks);
  return *std::move(made);
}

std::string OutcomeIn(const Engine& engine, std::span<const std::byte> module, CompileMode mode) {
  const absl::StatusOr<std::shared_ptr<LoadedModule>> loaded =
      engine.Load(std::vector<std::byte>(module.begin(), module.end()), {.mode = mode});
  if (!loaded.ok()) {
    return "refused: " + std::string(loaded.status().message()) + "\n";
  }
  Store store(engine.runtime(), {.backtrace_frames = 4});
  std::vector<Extern> imports;
  for (const ImportType& import : (*loaded)->imports()) {
    absl::StatusOr<Extern> value = DefaultOf(store, import.type);
    if (!value.ok()) {
      return "refused: " + std::string(value.status().message()) + "\n";
    }
    imports.push_back(*std::move(value));
  }
  absl::StatusOr<Instantiation> made = Linker::Instantiate(store, *loaded, imports);
  if (!made.ok()) {
    return "refused: " + std::string(made.status().message()) + "\n";
  }
  std::string text;
  if (made->instance == nullptr) {
    text += "instantiation";
    if (PrintStop(text, made->outcome)) {
      text += '\n';
    }
    return text;
  }
  const std::vector<ExportType> exports = (*loaded)->exports();
  std::vector<Value> args;
  std::vector<Value> results;
  for (uint64_t round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < exports.size(); ++i) {
      const auto* type = std::get_if<FuncType>(&exports[i].type);
      if (type == nullptr) {
        continue;
      }
      args.clear();
      for (size_t p = 0; p < type->params.size(); ++p) {
        args.push_back(Argument(type->params[p], (((i * kRounds) + round) << 16) | p));
      }
      results.assign(type->results.size(), Value{});
      const absl::StatusOr<Outcome<void>> outcome =
          made->instance->Func(exports[i].name)->Call(args, results);
      text += std::to_string(i);
      if (!outcome.ok()) {
        text += " failed: " + std::string(outcome.status().message()) + "\n";
        return text;
      }
      if (outcome->ok()) {
        for (const Value& result : results) {
          Print(text, result);
        }
      } else if (!PrintStop(text, *outcome)) {
        return text;
      }
      text += '\n';
    }
  }
  PrintState(text, *made->instance, exports);
  return text;
}

}  // namespace

FuzzEngines::FuzzEngines()
    : guarded_(EngineWith({.deterministic_relaxed_simd = true})),
      without_avx_(EngineWith({.deterministic_relaxed_simd = true, .use_avx = false})),
      checked_(EngineWith(
          {.bounds_checks = BoundsChecks::kExplicit, .deterministic_relaxed_simd = true})) {}

std::string FuzzEngines::OutcomeOf(std::span<const std::byte> module) const {
  std::string lazy = OutcomeIn(*guarded_, module, CompileMode::kLazy);
  for (const Engine* other : {without_avx_.get(), checked_.get()}) {
    const std::string eager = OutcomeIn(*other, module, CompileMode::kEager);
    if (!Agree(lazy, eager)) {
      return std::string("modes differ\nguard pages, AVX, lazy:\n") + lazy +
             (other == checked_.get() ? "explicit checks" : "guard pages, SSE4.1") + ", eager:\n" +
             eager;
    }
  }
  return lazy;
}

Verdict VerdictOn(std::span<const std::byte> bytes) {
  Verdict verdict;
  const absl::StatusOr<Module> module = DecodeModule(bytes);
  absl::Status status = module.status();
  if (module.ok()) {
    verdict.reached_body = module->funcs.size() > module->imported_funcs;
    status = ValidateModule(*module, 1);
  }
  if (!status.ok()) {
    verdict.kind = status.code() == absl::StatusCode::kUnimplemented ? Verdict::Kind::kUnsupported
                                                                     : Verdict::Kind::kRefused;
    verdict.message = std::string(status.message());
  }
  return verdict;
}

}  // namespace wasmd::tests
