#include "tests/spec/script_runner.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include <nlohmann/json.hpp>

#include "engine/api/engine.h"
#include "engine/wasm/limits.h"

namespace wasmd::tests {
namespace {

using engine::ExternKind;
using engine::FuncType;
using engine::Instance;
using engine::Instantiation;
using engine::LoadedModule;
using engine::Outcome;
using engine::Trap;
using engine::TrapCode;
using engine::ValType;
using engine::Value;
using Json = nlohmann::json;

// Host reference number n as an externref word: never 0, which is null.
constexpr uint64_t kExternBase = 0x1000;

uint64_t ParseInteger(const std::string& text) {
  return text.starts_with('-') ? static_cast<uint64_t>(std::strtoll(text.c_str(), nullptr, 10))
                               : std::strtoull(text.c_str(), nullptr, 10);
}

// One script's state. Instances live in one store, since scripts link them with each other.
class Script {
 public:
  Script(const engine::Engine& engine, std::filesystem::path folder, engine::LoadOptions options)
      : engine_(engine),
        folder_(std::move(folder)),
        options_(std::move(options)),
        store_(engine.runtime()) {
    DefineSpectest();
  }

  // Runs a command: an empty message is a pass, nullopt that it does not apply.
  std::optional<std::string> Run(const Json& command) {
    const std::string type = command.at("type");
    if (type == "module" || type == "module_definition" || type.starts_with("assert_mal") ||
        type == "assert_invalid" || type == "assert_unlinkable" ||
        type == "assert_uninstantiable" || type == "assert_invalid_custom") {
      return RunOnModule(type, command);
    }
    if (type == "module_instance") {
      const auto definition = definitions_.find(command.value("module", std::string()));
      current_ = nullptr;
      if (definition == definitions_.end()) {
        return "no such definition";
      }
      return Instantiate(definition->second, command.value("instance", std::string()));
    }
    if (type == "register") {
      Instance* instance = Named(command.value("name", std::string()));
      if (instance == nullptr) {
        return "no such instance";
      }
      linker_.DefineInstance(std::string(command.at("as")), *instance);
      return "";
    }
    if (type == "action" || type == "assert_return") {
      return RunReturn(command);
    }
    if (type == "assert_trap" || type == "assert_exhaustion") {
      return RunTrap(command);
    }
    if (type == "assert_exception") {
      return RunException(command);
    }
    return absl::StrCat("unknown command ", type);
  }

  // A module that should be used was refused for a feature that the engine does not have.
  bool needs_unsupported() const { return needs_unsupported_; }
  // The last command was an assertion that a module is refused, and it was, for a feature that the
  // engine does not have.
  std::string TakeUnsupportedRefusal() { return std::exchange(unsupported_refusal_, {}); }

 private:
  void DefineSpectest() {
    const auto print = [](engine::HostContext&, std::span<const Value>, std::span<Value>) {
      return engine::HostResult::Ok();
    };
    const auto define = [&](std::string_view name, std::vector<ValType> params) {
      linker_.DefineFunc("spectest", name, FuncType{std::move(params), {}}, print);
    };
    define("print", {});
    define("print_i32", {ValType::kI32});
    define("print_i64", {ValType::kI64});
    define("print_f32", {ValType::kF32});
    define("print_f64", {ValType::kF64});
    define("print_i32_f32", {ValType::kI32, ValType::kF32});
    define("print_f64_f64", {ValType::kF64, ValType::kF64});
    const auto global = [&](std::string_view name, Value value) {
      linker_.Define("spectest", name, *store_.CreateGlobal({value.type, false}, value));
    };
    global("global_i32", Value::I32(666));
    global("global_i64", Value::I64(int64_t{666}));
    global("global_f32", Value::F32Bits(0x4426a666));
    global("global_f64", Value::F64Bits(0x4084d4cccccccccd));
    linker_.Define(
        "spectest", "table",
        *store_.CreateTable({ValType::kFuncRef, {10, 20}}, Value::Null(ValType::kFuncRef)));
    linker_.Define("spectest", "table64",
                   *store_.CreateTable({ValType::kFuncRef, {10, 20}, engine::AddressType::kI64},
                                       Value::Null(ValType::kFuncRef)));
    linker_.Define("spectest", "memory", *store_.CreateMemory({{1, 2}}));
  }

  absl::StatusOr<std::shared_ptr<LoadedModule>> Load(const Json& command) {
    const std::string name = command.contains("binary_filename") ? command.at("binary_filename")
                                                                 : command.at("filename");
    std::ifstream file(folder_ / name, std::ios::binary);
    if (!file) {
      return absl::NotFoundError(absl::StrCat("cannot read ", name));
    }
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    const auto bytes = std::as_bytes(std::span(text));
    engine::LoadOptions options = options_;
    return engine_.Load(std::vector<std::byte>(bytes.begin(), bytes.end()), options);
  }

  std::optional<std::string> RunOnModule(const std::string& type, const Json& command) {
    if (command.value("module_type", std::string("binary")) == "text" &&
        !command.contains("binary_filename")) {
      return std::nullopt;
    }
    if (type == "assert_malformed_custom" || type == "assert_invalid_custom") {
      return std::nullopt;
    }
    absl::StatusOr<std::shared_ptr<LoadedModule>> module = Load(command);
    const std::string name = command.value("name", std::string());
    if (!module.ok() && !type.starts_with("assert_")) {
      needs_unsupported_ |= module.status().code() == absl::StatusCode::kUnimplemented;
    }
    if (type == "module") {
      current_ = nullptr;
      return module.ok() ? Instantiate(*module, name) : std::string(module.status().message());
    }
    if (type == "module_definition") {
      if (!module.ok()) {
        return std::string(module.status().message());
      }
      definitions_[name] = *module;
      definitions_[""] = *module;
      return "";
    }
    if (type == "assert_malformed" || type == "assert_invalid") {
      if (module.ok()) {
        return absl::StrCat("accepted; expected: ", std::string(command.value("text", "")));
      }
      if (module.status().code() == absl::StatusCode::kUnimplemented) {
        unsupported_refusal_ = std::string(module.status().message());
      }
      // kResourceExhausted too: what is over one of our limits need not be looked at any further.
      return "";
    }
    if (!module.ok()) {
      needs_unsupported_ |= module.status().code() == absl::StatusCode::kUnimplemented;
      return std::string(module.status().message());
    }
    const absl::StatusOr<Instantiation> made = linker_.Instantiate(store_, *module);
    if (type == "assert_unlinkable") {
      return made.ok() ? "linked" : "";
    }
    if (!made.ok()) {
      return std::string(made.status().message());
    }
    return made->outcome.trap() == nullptr ? "no trap at instantiation" : "";
  }

  std::string Instantiate(const std::shared_ptr<LoadedModule>& module, const std::string& name) {
    absl::StatusOr<Instantiation> made = linker_.Instantiate(store_, module);
    if (!made.ok()) {
      return std::string(made.status().message());
    }
    if (!made->outcome.ok()) {
      return engine::ToString(made->outcome.stop());
    }
    current_ = made->instance;
    if (!name.empty()) {
      named_[name] = current_;
    }
    return "";
  }

  Instance* Named(const std::string& name) const {
    if (name.empty()) {
      return current_;
    }
    const auto found = named_.find(name);
    return found == named_.end() ? nullptr : found->second;
  }

  static uint32_t LaneBits(const Json& vector) {
    return static_cast<uint32_t>(std::stoul(std::string(vector.at("lane_type")).substr(1)));
  }

  // Lanes of a v128 that are no number ("nan:canonical") are left zero.
  static Value ParseVector(const Json& vector) {
    const uint32_t lane_bits = LaneBits(vector);
    uint64_t words[2] = {0, 0};
    uint32_t at = 0;
    for (const Json& lane : vector.at("value")) {
      const std::string text = lane;
      const uint64_t bits = text.starts_with("nan:") ? 0 : ParseInteger(text);
      words[at / 64] |= (bits & ~uint64_t{0} >> (64 - lane_bits)) << at % 64;
      at += lane_bits;
    }
    return Value::Vector({words[0], words[1]});
  }

  static bool VectorMatches(const Json& expected, const Value& value) {
    const uint32_t lane_bits = LaneBits(expected);
    const bool is_float = std::string(expected.at("lane_type")).starts_with('f');
    const Value exact = ParseVector(expected);
    uint32_t at = 0;
    for (const Json& lane : expected.at("value")) {
      const auto lane_of = [&](const Value& vector) {
        return (at < 64 ? vector.bits : vector.hi) >> at % 64 & ~uint64_t{0} >> (64 - lane_bits);
      };
      const std::string text = lane;
      const bool matches = is_float
                               ? FloatMatches(text, lane_bits == 32, lane_of(value)) ||
                                     (!text.starts_with("nan:") && lane_of(value) == lane_of(exact))
                               : lane_of(value) == lane_of(exact);
      if (!matches) {
        return false;
      }
      at += lane_bits;
    }
    return true;
  }

  // Whether `text` is a pattern of NaNs, and the bits are one of them.
  static bool FloatMatches(const std::string& text, bool narrow, uint64_t bits) {
    const uint64_t magnitude = narrow ? bits & 0x7fffffff : bits & ~(uint64_t{1} << 63);
    const uint64_t canonical = narrow ? 0x7fc00000 : 0x7ff8000000000000;
    return text == "nan:canonical"
               ? magnitude == canonical
               : text == "nan:arithmetic" && (magnitude & canonical) == canonical;
  }

  static std::optional<Value> ParseArg(const Json& arg) {
    const std::string type = arg.at("type");
    if (type == "i32" || type == "f32") {
      const auto bits = static_cast<uint32_t>(ParseInteger(arg.at("value")));
      return type == "i32" ? Value::I32(bits) : Value::F32Bits(bits);
    }
    if (type == "i64" || type == "f64") {
      const uint64_t bits = ParseInteger(arg.at("value"));
      return type == "i64" ? Value::I64(bits) : Value::F64Bits(bits);
    }
    if (type == "v128") {
      return ParseVector(arg);
    }
    const bool is_null = !arg.contains("value") || arg.at("value") == "null";
    if (type == "externref" || type == "nullexternref") {
      return Value::ExternRef(is_null ? 0 : kExternBase + ParseInteger(arg.at("value")));
    }
    if ((type == "funcref" || type == "nullfuncref") && is_null) {
      return Value::Null(ValType::kFuncRef);
    }
    if ((type == "exnref" || type == "nullexnref") && is_null) {
      return Value::Null(ValType::kExnRef);
    }
    return std::nullopt;
  }

  static bool Matches(const Json& expected, const Value& value) {
    const std::string type = expected.at("type");
    if (type == "either") {
      for (const Json& one : expected.at("values")) {
        if (Matches(one, value)) {
          return true;
        }
      }
      return false;
    }
    if (type == "v128") {
      return value.type == ValType::kV128 && VectorMatches(expected, value);
    }
    const std::string text = expected.contains("value") && expected.at("value").is_string()
                                 ? std::string(expected.at("value"))
                                 : std::string();
    if (type == "f32" || type == "f64") {
      const bool narrow = type == "f32";
      if (value.type != (narrow ? ValType::kF32 : ValType::kF64)) {
        return false;
      }
      if (text.starts_with("nan:")) {
        return FloatMatches(text, narrow, value.bits);
      }
    }
    if (type == "refnull" || type.starts_with("null")) {
      return engine::IsRef(value.type) && value.bits == 0;
    }
    if ((type == "externref" || type == "funcref" || type == "exnref") && text.empty()) {
      return engine::ToString(value.type) == type && value.bits != 0;
    }
    const std::optional<Value> exact = ParseArg(expected);
    return exact.has_value() && *exact == value;
  }

  // Does an action. A message: it could not even be tried.
  std::optional<std::string> Act(const Json& action, std::vector<Value>& results,
                                 Outcome<void>& outcome) {
    Instance* instance = Named(action.value("module", std::string()));
    if (instance == nullptr) {
      return "no such instance";
    }
    const std::string field = action.at("field");
    if (action.at("type") == "get") {
      const absl::StatusOr<engine::GlobalHandle> global = instance->Global(field);
      if (!global.ok()) {
        return std::string(global.status().message());
      }
      results = {global->Get()};
      return std::nullopt;
    }
    const absl::StatusOr<engine::FuncHandle> func = instance->Func(field);
    if (!func.ok()) {
      return std::string(func.status().message());
    }
    std::vector<Value> args;
    for (const Json& arg : action.at("args")) {
      const std::optional<Value> value = ParseArg(arg);
      if (!value.has_value()) {
        return absl::StrCat("cannot make an argument of ", arg.dump());
      }
      args.push_back(*value);
    }
    results.assign(func->type().results.size(), Value());
    absl::StatusOr<Outcome<void>> called = func->Call(args, results);
    if (!called.ok()) {
      return std::string(called.status().message());
    }
    outcome = std::move(*called);
    return std::nullopt;
  }

  std::string RunReturn(const Json& command) {
    std::vector<Value> results;
    Outcome<void> outcome;
    if (const auto message = Act(command.at("action"), results, outcome)) {
      return *message;
    }
    if (!outcome.ok()) {
      return engine::ToString(outcome.stop());
    }
    if (!command.contains("expected") || command.at("type") == "action") {
      return "";
    }
    const Json& expected = command.at("expected");
    bool match = expected.size() == results.size();
    for (size_t i = 0; match && i < results.size(); ++i) {
      match = Matches(expected[i], results[i]);
    }
    if (match) {
      return "";
    }
    std::string got;
    for (const Value& value : results) {
      absl::StrAppend(&got, " ", engine::ToString(value));
    }
    return absl::StrCat("expected ", expected.dump(), ", got", got, " from ",
                        command.at("action").dump());
  }

  // The suite's text is the reference interpreter's wording; ours differs in nothing but what it
  // says behind the code.
  static bool TextMatches(const Trap& trap, const std::string& text) {
    const std::string_view ours = engine::ToString(trap.code);
    return text.empty() || text.starts_with(ours) || ours.starts_with(text) ||
           // The suite says "undefined element" of an index beyond the table and "uninitialized
           // element N" of a null.
           (trap.code == TrapCode::kTableOutOfBounds && text.starts_with("undefined element"));
  }

  std::string RunTrap(const Json& command) {
    std::vector<Value> results;
    Outcome<void> outcome;
    if (const auto message = Act(command.at("action"), results, outcome)) {
      return *message;
    }
    const Trap* trap = outcome.trap();
    if (trap == nullptr) {
      return outcome.ok() ? "returned" : engine::ToString(outcome.stop());
    }
    if (!TextMatches(*trap, command.value("text", std::string()))) {
      return absl::StrCat("trapped with \"", trap->message, "\", expected \"",
                          std::string(command.value("text", "")), "\"");
    }
    return "";
  }

  std::string RunException(const Json& command) {
    std::vector<Value> results;
    Outcome<void> outcome;
    if (const auto message = Act(command.at("action"), results, outcome)) {
      return *message;
    }
    if (outcome.exception() == nullptr) {
      return outcome.ok() ? "returned" : engine::ToString(outcome.stop());
    }
    return "";
  }

  bool needs_unsupported_ = false;
  std::string unsupported_refusal_;

  const engine::Engine& engine_;
  const std::filesystem::path folder_;
  const engine::LoadOptions options_;
  engine::Store store_;
  engine::Linker linker_;
  std::map<std::string, std::shared_ptr<LoadedModule>> definitions_;
  std::map<std::string, Instance*> named_;
  Instance* current_ = nullptr;
};

}  // namespace

ScriptResult RunScript(const engine::Engine& engine, const std::filesystem::path& script,
                       const engine::LoadOptions& options) {
  ScriptResult result;
  uint32_t place = 0;
  const auto fail = [&](const std::string& message) {
    ++result.failed;
    result.failed_commands.push_back(place);
    if (result.failures.size() < kMaxFailureMessages) {
      result.failures.push_back(message);
    }
  };
  std::ifstream file(script);
  const Json json = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.contains("commands")) {
    fail("no script");
    return result;
  }
  Script state(engine, script.parent_path(), options);
  // In a script all of whose modules we take, an unsupported feature is as invalid as the script
  // says (that of a later version of wasm than the script's). In one that is about the feature, its
  // refusals prove nothing.
  std::vector<std::pair<uint32_t, std::string>> unsupported;
  for (const Json& command : json.at("commands")) {
    const std::optional<std::string> message = state.Run(command);
    if (!message.has_value()) {
      ++result.not_applicable;
    } else if (message->empty()) {
      if (const std::string refusal = state.TakeUnsupportedRefusal(); !refusal.empty()) {
        unsupported.emplace_back(
            place, absl::StrCat("line ", int64_t{command.value("line", 0)}, ": ", refusal));
      } else {
        ++result.passed;
      }
    } else {
      fail(absl::StrCat("line ", int64_t{command.value("line", 0)}, ": ",
                        std::string(command.at("type")), ": ", *message));
    }
    ++place;
  }
  for (const auto& [refused_at, refusal] : unsupported) {
    if (state.needs_unsupported()) {
      place = refused_at;
      fail(refusal);
    } else {
      ++result.passed;
    }
  }
  return result;
}

}  // namespace wasmd::tests
