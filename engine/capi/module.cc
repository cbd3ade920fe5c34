// Modules of wasm.h.
#include "engine/wasm/module.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "engine/binary/decode_module.h"
#include "engine/capi/objects.h"
#include "engine/validate/validate.h"

namespace wasmd::engine {
namespace {

// Ahead of the module's bytes. The last byte is the format's version.
constexpr std::array<char, 8> kSerializedMagic = {'\0', 'w', 'a', 's', 'm', 'd', 'M', 1};

std::span<const std::byte> BytesOf(const char* data, size_t size) {
  return std::as_bytes(std::span<const char>(data, size));
}

// Null: no valid module, or the store is deleted.
wasm_module_t* Load(wasm_store_t* store, std::span<const std::byte> bytes) {
  if (store->store == nullptr) {
    return nullptr;
  }
  absl::StatusOr<std::shared_ptr<LoadedModule>> module =
      store->engine->Load(std::vector<std::byte>(bytes.begin(), bytes.end()), {});
  return module.ok() ? new wasm_module_t(store, std::move(*module)) : nullptr;
}

}  // namespace
}  // namespace wasmd::engine

using wasmd::engine::kSerializedMagic;

extern "C" {

wasm_module_t* wasm_module_new(wasm_store_t* store, const wasm_byte_vec_t* binary) {
  return wasmd::engine::Load(store, wasmd::engine::BytesOf(binary->data, binary->size));
}

bool wasm_module_validate(wasm_store_t* /*store*/, const wasm_byte_vec_t* binary) {
  const absl::StatusOr<wasmd::engine::Module> module =
      wasmd::engine::DecodeModule(wasmd::engine::BytesOf(binary->data, binary->size));
  return module.ok() && wasmd::engine::ValidateModule(*module, /*threads=*/1).ok();
}

void wasm_module_imports(const wasm_module_t* module, wasm_importtype_vec_t* out) {
  const std::vector<wasmd::engine::ImportType> imports = module->module->imports();
  wasm_importtype_vec_new_uninitialized(out, imports.size());
  for (size_t i = 0; i < out->size; ++i) {
    out->data[i] = new wasm_importtype_t{wasmd::engine::NewName(imports[i].module),
                                         wasmd::engine::NewName(imports[i].name),
                                         wasmd::engine::NewType(imports[i].type)};
  }
}

void wasm_module_exports(const wasm_module_t* module, wasm_exporttype_vec_t* out) {
  const std::vector<wasmd::engine::ExportType> exports = module->module->exports();
  wasm_exporttype_vec_new_uninitialized(out, exports.size());
  for (size_t i = 0; i < out->size; ++i) {
    out->data[i] = new wasm_exporttype_t{wasmd::engine::NewName(exports[i].name),
                                         wasmd::engine::NewType(exports[i].type)};
  }
}

void wasm_module_serialize(const wasm_module_t* module, wasm_byte_vec_t* out) {
  const std::span<const std::byte> bytes = module->module->module().bytes;
  wasm_byte_vec_new_uninitialized(out, kSerializedMagic.size() + bytes.size());
  if (out->size != 0) {
    std::memcpy(out->data, kSerializedMagic.data(), kSerializedMagic.size());
    std::memcpy(out->data + kSerializedMagic.size(), bytes.data(), bytes.size());
  }
}

wasm_module_t* wasm_module_deserialize(wasm_store_t* store, const wasm_byte_vec_t* serialized) {
  if (serialized->size < kSerializedMagic.size() ||
      std::memcmp(serialized->data, kSerializedMagic.data(), kSerializedMagic.size()) != 0) {
    return nullptr;
  }
  return wasmd::engine::Load(
      store,
      wasmd::engine::BytesOf(serialized->data, serialized->size).subspan(kSerializedMagic.size()));
}

wasm_shared_module_t* wasm_module_share(const wasm_module_t* module) {
  return new wasm_shared_module_t{module->module, module->store->engine};
}
void wasm_shared_module_delete(wasm_shared_module_t* module) {
  delete module;
}
wasm_module_t* wasm_module_obtain(wasm_store_t* store, const wasm_shared_module_t* shared) {
  if (store->store == nullptr) {
    return nullptr;
  }
  // Code belongs to its engine: another one makes its own.
  return shared->engine == store->engine
             ? new wasm_module_t(store, shared->module)
             : wasmd::engine::Load(store, shared->module->module().bytes);
}

}  // extern "C"
