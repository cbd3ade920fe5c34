#include "tests/support/wat.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include <wabt/binary-writer.h>
#include <wabt/common.h>
#include <wabt/error-formatter.h>
#include <wabt/error.h>
#include <wabt/feature.h>
#include <wabt/ir.h>
#include <wabt/result.h>
#include <wabt/stream.h>
#include <wabt/wast-lexer.h>
#include <wabt/wast-parser.h>

#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

[[noreturn]] void Refuse(std::string_view text, const wabt::Errors& errors) {
  const std::string message = wabt::FormatErrorsToString(errors, wabt::Location::Type::Text);
  std::fprintf(stderr, "%s\n%.*s\n", message.c_str(), static_cast<int>(text.size()), text.data());
  std::abort();
}

}  // namespace

Bytes Wat(std::string_view text) {
  wabt::Errors errors;
  const auto lexer =
      wabt::WastLexer::CreateBufferLexer("test.wat", text.data(), text.size(), &errors);
  wabt::Features features;
  features.EnableAll();
  // Changes what the binary looks like, against the spec.
  features.disable_memory64();
  wabt::WastParseOptions parse_options(features);
  std::unique_ptr<wabt::Module> module;
  if (wabt::Failed(wabt::ParseWatModule(lexer.get(), &module, &errors, &parse_options))) {
    Refuse(text, errors);
  }
  wabt::MemoryStream stream;
  wabt::WriteBinaryOptions write_options;
  write_options.features = features;
  write_options.write_debug_names = true;
  if (wabt::Failed(wabt::WriteBinaryModule(&stream, module.get(), write_options))) {
    Refuse(text, errors);
  }
  return stream.output_buffer().data;
}

}  // namespace wasmd::engine
