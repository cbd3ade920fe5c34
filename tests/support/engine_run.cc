// wasmd_engine_run: calls one exported function in the engine, without the daemon. For debugging by
// hand.
//
//   wasmd_engine_run FILE.wasm|FILE.wat FUNCTION [ARGUMENT …] [--eager] [--repeat N] [--timeout-ms
//   N] [--stats]
//
// Arguments are numbers, typed by the function. Imports that are functions are stubs that print
// their name and return zeros; others must not be there. --repeat prints the mean time of a call.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "engine/api/engine.h"
#include "tests/support/wat.h"

namespace {

using namespace wasmd::engine;  // NOLINT(google-build-using-namespace): one small program.

[[noreturn]] void Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(125);
}

Value Parse(ValType type, const std::string& text) {
  switch (type) {
    case ValType::kF32:
      return Value::F32(std::strtof(text.c_str(), nullptr));
    case ValType::kF64:
      return Value::F64(std::strtod(text.c_str(), nullptr));
    case ValType::kI32:
      return Value::I32(static_cast<uint32_t>(std::strtoll(text.c_str(), nullptr, 0)));
    default:
      return {type, text.starts_with('-')
                        ? static_cast<uint64_t>(std::strtoll(text.c_str(), nullptr, 0))
                        : std::strtoull(text.c_str(), nullptr, 0)};
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Calls one exported function in the engine, without the daemon.");
  std::string file;
  std::string function;
  std::vector<std::string> texts;
  bool eager = false;
  bool stats = false;
  uint64_t repeat = 1;
  int timeout_ms = 0;
  app.add_option("file", file)->required()->check(CLI::ExistingFile);
  app.add_option("function", function)->required();
  app.add_option("arguments", texts);
  app.add_flag("--eager", eager);
  app.add_flag("--stats", stats);
  app.add_option("--repeat", repeat);
  app.add_option("--timeout-ms", timeout_ms);
  app.prefix_command(false);
  CLI11_PARSE(app, argc, argv);

  std::ifstream stream(file, std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (file.ends_with(".wat")) {
    const Bytes wasm = Wat(content);
    content.assign(wasm.begin(), wasm.end());
  }
  auto engine = Engine::Create({});
  if (!engine.ok()) {
    Fail(engine.status());
  }
  LoadOptions options;
  options.mode = eager ? CompileMode::kEager : CompileMode::kLazy;
  const auto span = std::as_bytes(std::span(content));
  const auto module = (*engine)->Load(std::vector<std::byte>(span.begin(), span.end()), options);
  if (!module.ok()) {
    Fail(module.status());
  }
  Linker linker;
  for (const ImportType& item : (*module)->imports()) {
    if (const auto* type = std::get_if<FuncType>(&item.type)) {
      linker.DefineFunc(item.module, item.name, *type,
                        [item](HostContext&, std::span<const Value> args, std::span<Value>) {
                          std::printf("%s.%s", item.module.c_str(), item.name.c_str());
                          for (const Value& arg : args) {
                            std::printf(" %s", ToString(arg).c_str());
                          }
                          std::printf("\n");
                          return HostResult::Ok();
                        });
    }
  }
  Store store((*engine)->runtime());
  const InterruptHandle handle = store.ArmInterrupt();
  if (timeout_ms > 0) {
    std::thread([handle, timeout_ms] {
      std::this_thread::sleep_for(std::chrono::milliseconds(timeout_ms));
      handle.Interrupt(InterruptReason::kDeadline);
    }).detach();
  }
  const auto made = linker.Instantiate(store, *module);
  if (!made.ok()) {
    Fail(made.status());
  }
  const auto report = [](const Stop& stop) {
    std::fprintf(stderr, "%s\n", ToString(stop).c_str());
    if (const auto* trap = std::get_if<Trap>(&stop)) {
      std::fprintf(stderr, "%s", ToString(trap->backtrace).c_str());
    } else if (const auto* interrupt = std::get_if<Interrupt>(&stop)) {
      std::fprintf(stderr, "%s", ToString(interrupt->backtrace).c_str());
    }
    return 134;
  };
  if (!made->outcome.ok()) {
    return report(made->outcome.stop());
  }
  const auto func = made->instance->Func(function);
  if (!func.ok()) {
    Fail(func.status());
  }
  std::vector<Value> args;
  for (size_t i = 0; i < texts.size() && i < func->type().params.size(); ++i) {
    args.push_back(Parse(func->type().params[i], texts[i]));
  }
  std::vector<Value> results(func->type().results.size());
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < repeat; ++i) {
    const auto outcome = func->Call(args, results);
    if (!outcome.ok()) {
      Fail(outcome.status());
    }
    if (!outcome->ok()) {
      return report(outcome->stop());
    }
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  for (const Value& result : results) {
    std::printf("%s\n", ToString(result).c_str());
  }
  if (repeat > 1) {
    std::printf("%.1f ns a call\n", took.count() / static_cast<double>(repeat));
  }
  if (stats) {
    const CodeStats s = (*module)->stats();
    std::printf("%u of %u functions compiled, %llu bytes of code, %llu of arena, %.3f ms\n",
                s.functions_compiled, s.functions, static_cast<unsigned long long>(s.code_bytes),
                static_cast<unsigned long long>(s.arena_bytes),
                static_cast<double>(s.compile_ns) / 1e6);
  }
  return 0;
}
