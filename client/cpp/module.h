// What the daemon knows of a module.
#ifndef WASMD_CLIENT_CPP_MODULE_H_
#define WASMD_CLIENT_CPP_MODULE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "client/cpp/value.h"

namespace wasmd::client {

struct ModuleInfo {
  std::string digest;  // "sha256:<64 hex digits>": its name in every call.
  std::string name;    // What its uploader called it.
  uint64_t size_bytes = 0;
  uint32_t defined_funcs = 0;
  uint32_t compiled_funcs = 0;
  uint64_t machine_code_bytes = 0;
  uint32_t instances = 0;
  absl::Time uploaded_at;
  absl::Time last_used_at;
};

struct Import {
  std::string module;
  std::string name;
  ExternType type;
};

struct Export {
  std::string name;
  ExternType type;
};

struct Section {
  std::string name;  // "code"; a custom section's own name.
  uint64_t size_bytes = 0;
};

struct ModuleDetails {
  ModuleInfo info;
  std::vector<Import> imports;
  std::vector<Export> exports;
  std::vector<Section> sections;

  // The type of the exported function of that name; nullptr if there is none.
  const FuncType* FindFunc(std::string_view name) const;
};

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_MODULE_H_
