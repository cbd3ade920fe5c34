// A few small valid modules that between them have every section and every kind of segment, import,
// constant expression and control instruction. For tests of what happens when they are damaged.
#ifndef WASMD_TESTS_SUPPORT_SAMPLE_MODULES_H_
#define WASMD_TESTS_SUPPORT_SAMPLE_MODULES_H_

#include <string_view>
#include <vector>

#include "tests/support/wasm_builder.h"

namespace wasmd::engine {

struct SampleModule {
  std::string_view name;
  Bytes bytes;
};

// Thread-safe.
const std::vector<SampleModule>& SampleModules();

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_SUPPORT_SAMPLE_MODULES_H_
