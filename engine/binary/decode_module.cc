#include "engine/binary/decode_module.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

#include "engine/binary/binary_error.h"
#include "engine/binary/byte_reader.h"
#include "engine/binary/unsupported.h"
#include "engine/wasm/features.h"
#include "engine/wasm/limits.h"
#include "engine/wasm/module.h"
#include "engine/wasm/opcodes.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {
namespace {

constexpr uint8_t kVectorPrefix = 0xfd;
// Items of a section between two looks at the cancel flag.
constexpr uint32_t kItemsPerStep = 4096;

// Spec: binary-section
enum class SectionId : uint8_t {
  kCustom = 0,
  kType = 1,
  kImport = 2,
  kFunction = 3,
  kTable = 4,
  kMemory = 5,
  kGlobal = 6,
  kExport = 7,
  kStart = 8,
  kElement = 9,
  kCode = 10,
  kData = 11,
  kDataCount = 12,
  kTag = 13,
};
constexpr uint8_t kMaxSectionId = 13;

// Where a section stands among the others, ascending. Spec: binary-module
int SectionRank(SectionId id) {
  switch (id) {
    case SectionId::kCustom:
      return 0;
    case SectionId::kType:
      return 1;
    case SectionId::kImport:
      return 2;
    case SectionId::kFunction:
      return 3;
    case SectionId::kTable:
      return 4;
    case SectionId::kMemory:
      return 5;
    case SectionId::kTag:
      return 6;
    case SectionId::kGlobal:
      return 7;
    case SectionId::kExport:
      return 8;
    case SectionId::kStart:
      return 9;
    case SectionId::kElement:
      return 10;
    case SectionId::kDataCount:
      return 11;
    case SectionId::kCode:
      return 12;
    case SectionId::kData:
      return 13;
  }
  return 0;
}

std::optional<ValType> ValTypeOfCode(uint8_t code) {
  switch (code) {
    case 0x7f:
      return ValType::kI32;
    case 0x7e:
      return ValType::kI64;
    case 0x7d:
      return ValType::kF32;
    case 0x7c:
      return ValType::kF64;
    case 0x7b:
      return ValType::kV128;
    case 0x70:
      return ValType::kFuncRef;
    case 0x6f:
      return ValType::kExternRef;
    case 0x69:
      return ValType::kExnRef;
    default:
      return std::nullopt;
  }
}

// i32 and i64 add, sub and mul.
bool IsExtendedConst(uint8_t opcode) {
  return (opcode >= 0x6a && opcode <= 0x6c) || (opcode >= 0x7c && opcode <= 0x7e);
}

// Decodes one module, section by section, into `module_`. A section's function leaves its reader at
// the section's end or with an error noted.
class ModuleDecoder {
 public:
  ModuleDecoder(std::span<const std::byte> bytes, const FeatureSet& features,
                const std::atomic<bool>* cancel)
      : bytes_(bytes), cancel_(cancel) {
    module_.bytes = bytes;
    module_.features = features;
  }

  absl::StatusOr<Module> Decode();

 private:
  void DecodeHeader(ByteReader& reader);
  void DecodeSection(SectionId id, ByteReader& reader);

  void DecodeCustom(ByteReader& reader);
  void DecodeTypes(ByteReader& reader);
  void DecodeImports(ByteReader& reader);
  void DecodeFunctions(ByteReader& reader);
  void DecodeTables(ByteReader& reader);
  void DecodeMemories(ByteReader& reader);
  void DecodeTags(ByteReader& reader);
  void DecodeGlobals(ByteReader& reader);
  void DecodeExports(ByteReader& reader);
  void DecodeStart(ByteReader& reader);
  void DecodeElements(ByteReader& reader);
  void DecodeElementInits(ByteReader& reader, bool is_exprs, ElemSegment& elem);
  void DecodeDataCount(ByteReader& reader);
  void DecodeCode(ByteReader& reader);
  void DecodeDatas(ByteReader& reader);
  void DecodeNames();
  void DecodeFunctionNames(ByteReader& reader);
  // What only the whole module can tell: sections that are missing.
  void CheckEnd(ByteReader& reader);

  ValType DecodeValType(ByteReader& reader, std::string_view malformed = "malformed value type");
  ValType DecodeRefType(ByteReader& reader);
  void DecodeResultType(ByteReader& reader, std::string_view what, std::string_view limit_name,
                        uint32_t limit, std::vector<ValType>& types);
  // `page_shift` is null for tables.
  Limits DecodeLimits(ByteReader& reader, AddressType& address, uint8_t* page_shift);
  TableType DecodeTableType(ByteReader& reader);
  MemoryType DecodeMemoryType(ByteReader& reader);
  GlobalType DecodeGlobalType(ByteReader& reader);
  // Spec: valid-constant
  ConstExpr DecodeConstExpr(ByteReader& reader, ValType expected);
  bool DecodeConstInstruction(ByteReader& reader, uint8_t opcode, ConstExpr& expr);
  bool DecodeConstArithmetic(ByteReader& reader, uint32_t at, Opcode op);
  bool DecodeConstGlobalGet(ByteReader& reader, uint32_t at, ConstExpr& expr);
  bool DecodeV128Const(ByteReader& reader, ConstExpr& expr);
  void FailConstOpcode(ByteReader& reader, uint32_t at, uint8_t opcode);
  uint32_t DecodeTypeIndex(ByteReader& reader);

  void AddTable(ByteReader& reader, uint32_t at, const TableType& type, bool is_imported);
  void AddMemory(ByteReader& reader, uint32_t at, const MemoryType& type, bool is_imported);
  void AddFunc(ByteReader& reader, uint32_t at, uint32_t type_index);
  void DecodeTag(ByteReader& reader, bool is_imported);

  bool Requires(ByteReader& reader, uint32_t at, std::string_view what, Feature feature) {
    if (ok() && !module_.features.Has(feature)) {
      reader.FailUnsupported(at, what, feature);
    }
    return ok();
  }
  // "unknown <what> <index>" where `index` is not below `size`.
  static bool CheckIndex(ByteReader& reader, uint32_t at, std::string_view what, uint32_t index,
                         size_t size) {
    if (reader.ok() && index >= size) {
      reader.FailAt(at, absl::StrFormat("unknown %s %d", what, index));
    }
    return reader.ok();
  }
  static void CheckLimit(ByteReader& reader, uint32_t at, std::string_view what, size_t count,
                         std::string_view limit_name, uint32_t limit) {
    if (reader.ok() && count > limit) {
      reader.error().BeyondLimit(at, what, count, limit_name, limit);
    }
  }
  [[nodiscard]] bool ok() const { return error_.ok(); }
  // Before item `i` of a section that may have millions: no error, and not cancelled.
  [[nodiscard]] bool GoesOn(uint32_t i) {
    if (i % kItemsPerStep == kItemsPerStep - 1 && IsCancelled()) {
      is_cancelled_ = true;
    }
    return ok() && !is_cancelled_;
  }
  [[nodiscard]] bool IsCancelled() const {
    return cancel_ != nullptr && cancel_->load(std::memory_order_relaxed);
  }

  std::span<const std::byte> bytes_;
  const std::atomic<bool>* const cancel_;
  bool is_cancelled_ = false;  // Noticed within a section.
  Module module_;
  BinaryError error_;
  // Of the constant expression that is being decoded: the operands, kExtended standing for what is
  // known at instantiation alone, and the operations so far.
  std::vector<ConstExpr> const_stack_;
  std::vector<ConstOp> const_ops_;
  uint32_t declared_funcs_ = 0;  // By the function section.
  bool has_code_ = false;
};

absl::StatusOr<Module> ModuleDecoder::Decode() {
  if (bytes_.size() > kMaxModuleBytes) {
    error_.BeyondLimit(0, "bytes in a module", bytes_.size(), "kMaxModuleBytes", kMaxModuleBytes);
    return error_.ToStatus();
  }
  ByteReader reader(bytes_, 0, static_cast<uint32_t>(bytes_.size()), error_);
  DecodeHeader(reader);
  int last_rank = 0;
  while (ok() && !reader.at_end()) {
    is_cancelled_ = is_cancelled_ || IsCancelled();
    if (is_cancelled_) {
      break;
    }
    const uint32_t at = reader.offset();
    const uint8_t id = reader.U8();
    if (id > kMaxSectionId) {
      reader.FailAt(at, absl::StrFormat("malformed section id %d", id));
      break;
    }
    const auto section_id = static_cast<SectionId>(id);
    const uint32_t size = reader.U32();
    ByteReader section = reader.Sub(size);
    if (section_id != SectionId::kCustom) {
      const int rank = SectionRank(section_id);
      if (rank <= last_rank) {
        reader.FailAt(at, "unexpected content after last section");
        break;
      }
      last_rank = rank;
    }
    if (!ok()) {
      break;
    }
    DecodeSection(section_id, section);
    if (ok() && !is_cancelled_ && !section.at_end()) {
      section.Fail("section size mismatch");
    }
  }
  if (!is_cancelled_) {
    CheckEnd(reader);
  }
  if (!ok()) {
    return error_.ToStatus();
  }
  if (!is_cancelled_) {
    DecodeNames();
  }
  if (is_cancelled_) {
    return absl::CancelledError("loading was cancelled");
  }
  return std::move(module_);
}

// Spec: binary-magic, binary-version
void ModuleDecoder::DecodeHeader(ByteReader& reader) {
  using std::string_view_literals::operator""sv;
  constexpr std::string_view kMagic = "\0asm"sv;
  constexpr std::string_view kVersion = "\1\0\0\0"sv;
  constexpr std::string_view kComponent = "\x0d\0\1\0"sv;
  if (const std::string_view start =
          bytes_.size() < kMagic.size() ? kMagic.substr(0, bytes_.size()) : kMagic;
      std::string_view(reinterpret_cast<const char*>(bytes_.data()), start.size()) != start) {
    reader.FailAt(0, "magic header not detected: this is not a WebAssembly module");
  }
  (void)reader.Take(static_cast<uint32_t>(kMagic.size()));
  const uint32_t at = reader.offset();
  const std::string_view version = reader.Take(static_cast<uint32_t>(kVersion.size()));
  if (ok() && version != kVersion) {
    reader.FailAt(at, version == kComponent
                          ? "unknown binary version: this is a component, not a core module"
                          : "unknown binary version");
  }
}

void ModuleDecoder::DecodeSection(SectionId id, ByteReader& reader) {
  switch (id) {
    case SectionId::kCustom:
      return DecodeCustom(reader);
    case SectionId::kType:
      return DecodeTypes(reader);
    case SectionId::kImport:
      return DecodeImports(reader);
    case SectionId::kFunction:
      return DecodeFunctions(reader);
    case SectionId::kTable:
      return DecodeTables(reader);
    case SectionId::kMemory:
      return DecodeMemories(reader);
    case SectionId::kGlobal:
      return DecodeGlobals(reader);
    case SectionId::kExport:
      return DecodeExports(reader);
    case SectionId::kStart:
      return DecodeStart(reader);
    case SectionId::kElement:
      return DecodeElements(reader);
    case SectionId::kCode:
      return DecodeCode(reader);
    case SectionId::kData:
      return DecodeDatas(reader);
    case SectionId::kDataCount:
      return DecodeDataCount(reader);
    case SectionId::kTag:
      return DecodeTags(reader);
  }
}

// Spec: binary-customsec
void ModuleDecoder::DecodeCustom(ByteReader& reader) {
  CustomSection custom;
  custom.name = reader.Name();
  if (ok()) {
    const std::string_view contents = reader.Take(reader.remaining());
    custom.contents = std::as_bytes(std::span(contents));
    module_.customs.push_back(custom);
  }
}

// Spec: binary-valtype
ValType ModuleDecoder::DecodeValType(ByteReader& reader, std::string_view malformed) {
  const uint32_t at = reader.offset();
  const uint8_t code = reader.U8();
  if (!ok()) {
    return ValType::kBottom;
  }
  const std::optional<ValType> type = ValTypeOfCode(code);
  if (type.has_value() && (*type != ValType::kV128 || module_.features.Has(Feature::kSimd))) {
    return *type;
  }
  if (const std::optional<Feature> feature = UnsupportedTypeFeature(code)) {
    reader.FailUnsupported(at, absl::StrFormat("type 0x%02x", code), *feature);
  } else {
    reader.FailAt(at, absl::StrFormat("%s 0x%02x", malformed, code));
  }
  return ValType::kBottom;
}

// Spec: binary-reftype
ValType ModuleDecoder::DecodeRefType(ByteReader& reader) {
  const uint32_t at = reader.offset();
  const ValType type = DecodeValType(reader, "malformed reference type");
  if (ok() && !IsRef(type)) {
    reader.FailAt(at, "malformed reference type");
  }
  return type;
}

// Spec: binary-resulttype
void ModuleDecoder::DecodeResultType(ByteReader& reader, std::string_view what,
                                     std::string_view limit_name, uint32_t limit,
                                     std::vector<ValType>& types) {
  const uint32_t count = reader.Count(what, limit_name, limit);
  types.reserve(count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    types.push_back(DecodeValType(reader));
  }
}

// Spec: binary-typesec, binary-functype
void ModuleDecoder::DecodeTypes(ByteReader& reader) {
  const uint32_t count = reader.Count("types", "kMaxTypes", kMaxTypes);
  module_.types.reserve(count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    const uint32_t at = reader.offset();
    const uint8_t form = reader.U8();
    if (ok() && form != 0x60) {
      if (form >= 0x4e && form <= 0x5f) {  // rec, sub, sub final, array, struct
        reader.FailUnsupported(at, absl::StrFormat("type form 0x%02x", form), Feature::kGc);
      } else {
        reader.FailAt(at, "malformed definition type");
      }
      return;
    }
    FuncType& type = module_.types.emplace_back();
    DecodeResultType(reader, "parameters", "kMaxFuncParams", kMaxFuncParams, type.params);
    DecodeResultType(reader, "results", "kMaxFuncResults", kMaxFuncResults, type.results);
  }
}

uint32_t ModuleDecoder::DecodeTypeIndex(ByteReader& reader) {
  const uint32_t at = reader.offset();
  const uint32_t index = reader.U32();
  CheckIndex(reader, at, "type", index, module_.types.size());
  return index;
}

void ModuleDecoder::AddFunc(ByteReader& reader, uint32_t at, uint32_t type_index) {
  module_.funcs.push_back({.type_index = type_index});
  CheckLimit(reader, at, "functions", module_.funcs.size(), "kMaxFuncs", kMaxFuncs);
}

void ModuleDecoder::AddTable(ByteReader& reader, uint32_t at, const TableType& type,
                             bool is_imported) {
  module_.tables.push_back({.type = type, .is_imported = is_imported});
  CheckLimit(reader, at, "tables", module_.tables.size(), "kMaxTables", kMaxTables);
}

void ModuleDecoder::AddMemory(ByteReader& reader, uint32_t at, const MemoryType& type,
                              bool is_imported) {
  module_.memories.push_back({.type = type, .is_imported = is_imported});
  if (module_.memories.size() > 1) {
    Requires(reader, at, "a second memory", Feature::kMultiMemory);
  }
  CheckLimit(reader, at, "memories", module_.memories.size(), "kMaxMemories", kMaxMemories);
}

// Spec: binary-importsec
void ModuleDecoder::DecodeImports(ByteReader& reader) {
  const uint32_t count = reader.Count("imports", "kMaxImports", kMaxImports);
  module_.imports.reserve(count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    Import import;
    import.module = reader.Name();
    import.name = reader.Name();
    const uint32_t at = reader.offset();
    const uint8_t kind = reader.U8();
    if (!ok()) {
      return;
    }
    switch (kind) {
      case 0x00:
        import.kind = ExternKind::kFunc;
        import.index = module_.imported_funcs++;
        AddFunc(reader, at, DecodeTypeIndex(reader));
        break;
      case 0x01:
        import.kind = ExternKind::kTable;
        import.index = module_.imported_tables++;
        AddTable(reader, at, DecodeTableType(reader), /*is_imported=*/true);
        break;
      case 0x02:
        import.kind = ExternKind::kMemory;
        import.index = module_.imported_memories++;
        AddMemory(reader, at, DecodeMemoryType(reader), /*is_imported=*/true);
        break;
      case 0x03:
        import.kind = ExternKind::kGlobal;
        import.index = module_.imported_globals++;
        module_.globals.push_back(
            {.type = DecodeGlobalType(reader), .is_imported = true, .init = {}});
        break;
      case 0x04:
        import.kind = ExternKind::kTag;
        import.index = module_.imported_tags++;
        DecodeTag(reader, /*is_imported=*/true);
        break;
      default:
        reader.FailAt(at, absl::StrFormat("malformed import kind 0x%02x", kind));
        break;
    }
    module_.imports.push_back(import);
  }
}

// Spec: binary-funcsec
void ModuleDecoder::DecodeFunctions(ByteReader& reader) {
  declared_funcs_ = reader.Count("functions", "kMaxFuncs", kMaxFuncs);
  module_.funcs.reserve(module_.funcs.size() + declared_funcs_);
  for (uint32_t i = 0; i < declared_funcs_ && GoesOn(i); ++i) {
    const uint32_t at = reader.offset();
    AddFunc(reader, at, DecodeTypeIndex(reader));
  }
}

// Bit 0: a maximum. 1: shared. 2: 64-bit addresses. 3, of memories: a page size. Spec:
// binary-limits, valid-limits
Limits ModuleDecoder::DecodeLimits(ByteReader& reader, AddressType& address, uint8_t* page_shift) {
  const bool is_memory = page_shift != nullptr;
  const uint32_t at = reader.offset();
  const uint8_t flags = reader.U8();
  Limits limits;
  if (flags >= (is_memory ? 16 : 8)) {
    reader.FailAt(at, "malformed limits flags");
    return limits;
  }
  if ((flags & 2) != 0) {
    reader.FailUnsupported(at, is_memory ? "a shared memory" : "a shared table", Feature::kThreads);
  }
  if ((flags & 4) != 0) {
    address = AddressType::kI64;
    Requires(reader, at, is_memory ? "a 64-bit memory" : "a 64-bit table", Feature::kMemory64);
  }
  if ((flags & 8) != 0) {
    Requires(reader, at, "a memory with a page size", Feature::kCustomPageSizes);
  }
  // 64 bits wide also where addresses have 32, since there are both.
  const bool is_wide = module_.features.Has(Feature::kMemory64);
  const auto read = [&] { return is_wide ? reader.U64() : uint64_t{reader.U32()}; };
  limits.min = read();
  if ((flags & 1) != 0) {
    limits.max = read();
  }
  if ((flags & 8) != 0) {
    const uint32_t shift_at = reader.offset();
    const uint32_t shift = reader.U32();
    if (ok() && shift != 0 && shift != kWasmPageShift) {
      reader.FailAt(shift_at, shift >= 64 ? "invalid custom page size: malformed"
                                          : "invalid custom page size");
    }
    *page_shift = static_cast<uint8_t>(shift);
  }
  if (ok() && limits.max.has_value() && limits.min > *limits.max) {
    reader.FailAt(at, "size minimum must not be greater than maximum");
  }
  return limits;
}

// Spec: binary-tabletype, valid-tabletype
TableType ModuleDecoder::DecodeTableType(ByteReader& reader) {
  TableType type;
  type.element = DecodeRefType(reader);
  const uint32_t at = reader.offset();
  type.limits = DecodeLimits(reader, type.address, nullptr);
  if (ok() && type.address == AddressType::kI32 &&
      std::max(type.limits.min, type.limits.max.value_or(0)) > UINT32_MAX) {
    reader.FailAt(at, "table size must be at most 2^32-1 elements");
  }
  return type;
}

// Spec: binary-memtype, valid-memtype
MemoryType ModuleDecoder::DecodeMemoryType(ByteReader& reader) {
  const uint32_t at = reader.offset();
  MemoryType type;
  type.limits = DecodeLimits(reader, type.address, &type.page_shift);
  if (ok() && std::max(type.limits.min, type.limits.max.value_or(0)) > MaxPages(type)) {
    reader.FailAt(at, type.page_shift == kWasmPageShift && type.address == AddressType::kI32
                          ? "memory size must be at most 65536 pages (4GiB)"
                          : absl::StrFormat("memory size must be at most %d pages of %d bytes",
                                            MaxPages(type), type.page_bytes()));
  }
  return type;
}

// Spec: binary-globaltype
GlobalType ModuleDecoder::DecodeGlobalType(ByteReader& reader) {
  GlobalType type;
  type.type = DecodeValType(reader);
  const uint32_t at = reader.offset();
  const uint8_t mutability = reader.U8();
  if (mutability > 1) {
    reader.FailAt(at, "malformed mutability");
  }
  type.is_mutable = mutability == 1;
  return type;
}

// Spec: binary-tablesec
void ModuleDecoder::DecodeTables(ByteReader& reader) {
  const uint32_t count = reader.Count("tables", "kMaxTables", kMaxTables);
  module_.tables.reserve(module_.tables.size() + count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    const uint32_t at = reader.offset();
    if (reader.Peek() == 0x40) {
      reader.FailUnsupported(at, "a table with an initializer", Feature::kFunctionReferences);
      return;
    }
    AddTable(reader, at, DecodeTableType(reader), /*is_imported=*/false);
  }
}

// Spec: binary-memsec
void ModuleDecoder::DecodeMemories(ByteReader& reader) {
  const uint32_t count = reader.Count("memories", "kMaxMemories", kMaxMemories);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    const uint32_t at = reader.offset();
    AddMemory(reader, at, DecodeMemoryType(reader), /*is_imported=*/false);
  }
}

// Spec: binary-tagtype, valid-tagtype
void ModuleDecoder::DecodeTag(ByteReader& reader, bool is_imported) {
  const uint32_t at = reader.offset();
  const uint8_t attribute = reader.U8();
  if (ok() && attribute != 0) {
    reader.FailAt(at, "malformed tag attribute");
  }
  const uint32_t type_index = DecodeTypeIndex(reader);
  if (ok() && !module_.types[type_index].results.empty()) {
    reader.FailAt(at, "non-empty tag result type");
  }
  module_.tags.push_back({.type_index = type_index, .is_imported = is_imported});
  CheckLimit(reader, at, "tags", module_.tags.size(), "kMaxTags", kMaxTags);
}

// Spec: binary-tagsec
void ModuleDecoder::DecodeTags(ByteReader& reader) {
  const uint32_t count = reader.Count("tags", "kMaxTags", kMaxTags);
  module_.tags.reserve(module_.tags.size() + count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    DecodeTag(reader, /*is_imported=*/false);
  }
}

// Spec: binary-globalsec
void ModuleDecoder::DecodeGlobals(ByteReader& reader) {
  const uint32_t count = reader.Count("globals", "kMaxGlobals", kMaxGlobals);
  module_.globals.reserve(module_.globals.size() + count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    const uint32_t at = reader.offset();
    Global global;
    global.type = DecodeGlobalType(reader);
    if (!ok()) {
      return;
    }
    global.init = DecodeConstExpr(reader, global.type.type);
    module_.globals.push_back(global);
    CheckLimit(reader, at, "globals", module_.globals.size(), "kMaxGlobals", kMaxGlobals);
  }
}

// Imports and the definitions before it: they have their values by then. Spec: valid-constant
bool ModuleDecoder::DecodeConstGlobalGet(ByteReader& reader, uint32_t at, ConstExpr& expr) {
  expr.kind = ConstExpr::Kind::kGlobalGet;
  expr.index = reader.U32();
  if (!CheckIndex(reader, at, "global", expr.index, module_.globals.size())) {
    return false;
  }
  const Global& global = module_.globals[expr.index];
  expr.type = global.type.type;
  if (global.type.is_mutable) {
    reader.FailAt(at, "constant expression required");
  }
  return ok();
}

// One instruction of a constant expression that pushes a value.
bool ModuleDecoder::DecodeConstInstruction(ByteReader& reader, uint8_t opcode, ConstExpr& expr) {
  const uint32_t at = reader.offset() - 1;
  expr = {};
  switch (static_cast<Opcode>(opcode)) {
    case Opcode::kI32Const:
      expr.type = ValType::kI32;
      expr.bits = static_cast<uint32_t>(reader.S32());
      return ok();
    case Opcode::kI64Const:
      expr.type = ValType::kI64;
      expr.bits = static_cast<uint64_t>(reader.S64());
      return ok();
    case Opcode::kF32Const:
      expr.type = ValType::kF32;
      expr.bits = reader.F32Bits();
      return ok();
    case Opcode::kF64Const:
      expr.type = ValType::kF64;
      expr.bits = reader.F64Bits();
      return ok();
    case Opcode::kRefNull:
      expr.kind = ConstExpr::Kind::kRefNull;
      expr.type = DecodeRefType(reader);
      return ok();
    case Opcode::kRefFunc:
      expr.kind = ConstExpr::Kind::kRefFunc;
      expr.type = ValType::kFuncRef;
      expr.index = reader.U32();
      if (CheckIndex(reader, at, "function", expr.index, module_.funcs.size())) {
        module_.funcs[expr.index].is_declared_ref = true;
      }
      return ok();
    case Opcode::kGlobalGet:
      return DecodeConstGlobalGet(reader, at, expr);
    default:  // Every other instruction is not constant.
      if (opcode == kVectorPrefix && DecodeV128Const(reader, expr)) {
        return ok();
      }
      FailConstOpcode(reader, at, opcode);
      return false;
  }
}

// Behind the prefix. False: it is another instruction, and nothing has been read.
bool ModuleDecoder::DecodeV128Const(ByteReader& reader, ConstExpr& expr) {
  ByteReader ahead = reader;
  constexpr uint32_t kV128ConstCode = static_cast<uint32_t>(Opcode::kV128Const) & 0xffff;
  if (ahead.U32() != kV128ConstCode || !ok()) {
    return false;
  }
  if (!Requires(reader, reader.offset() - 1, "v128.const", Feature::kSimd)) {
    return true;
  }
  reader = ahead;
  expr.type = ValType::kV128;
  expr.bits = reader.F64Bits();
  expr.hi = reader.F64Bits();
  return true;
}

void ModuleDecoder::FailConstOpcode(ByteReader& reader, uint32_t at, uint8_t opcode) {
  if (!ok()) {
    return;
  }
  const uint32_t sub = IsOpcodePrefix(opcode) ? reader.U32() : 0;
  if (!ok()) {
    return;
  }
  const std::string name = IsOpcodePrefix(opcode) ? absl::StrFormat("%02x %02x", opcode, sub)
                                                  : absl::StrFormat("%02x", opcode);
  // Any number is a value of the enum, whose underlying type is fixed.
  const bool is_known =
      sub < 0x1'0000 &&
      // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange)
      FindOpcode(static_cast<Opcode>(IsOpcodePrefix(opcode) ? uint32_t{opcode} << 16 | sub
                                                            : uint32_t{opcode})) != nullptr;
  if (is_known) {
    reader.FailAt(at, "constant expression required");
  } else if (const std::optional<Feature> feature = UnsupportedOpcodeFeature(opcode)) {
    reader.FailUnsupported(at, "opcode " + name, *feature);
  } else {
    reader.FailAt(at, "illegal opcode " + name);
  }
}

// Two operands of the stack become one; constants at once.
bool ModuleDecoder::DecodeConstArithmetic(ByteReader& reader, uint32_t at, Opcode op) {
  if (!Requires(reader, at, "arithmetic in a constant expression", Feature::kExtendedConst)) {
    return false;
  }
  const bool is_64 = op >= Opcode::kI64Add;
  const ValType type = is_64 ? ValType::kI64 : ValType::kI32;
  const size_t height = const_stack_.size();
  for (size_t i = 0; i < 2; ++i) {
    if (height <= i || const_stack_[height - 1 - i].type != type) {
      reader.FailAt(at, absl::StrFormat(
                            "type mismatch: expected %s, found %s", ToString(type),
                            height <= i ? "nothing" : ToString(const_stack_[height - 1 - i].type)));
      return false;
    }
  }
  const ConstExpr rhs = const_stack_.back();
  const_stack_.pop_back();
  ConstExpr& lhs = const_stack_.back();
  if (lhs.kind == ConstExpr::Kind::kConst && rhs.kind == ConstExpr::Kind::kConst) {
    lhs.bits = EvaluateConstOp(op, lhs.bits, rhs.bits);
  } else {
    lhs.kind = ConstExpr::Kind::kExtended;
  }
  const_ops_.push_back({.op = op});
  return true;
}

// Spec: binary-expr, valid-constant
ConstExpr ModuleDecoder::DecodeConstExpr(ByteReader& reader, ValType expected) {
  const uint32_t begin = reader.offset();
  const_stack_.clear();
  const_ops_.clear();
  while (ok()) {
    const uint32_t at = reader.offset();
    const uint8_t opcode = reader.U8();
    if (!ok() || static_cast<Opcode>(opcode) == Opcode::kEnd) {
      break;
    }
    if (IsExtendedConst(opcode)) {
      DecodeConstArithmetic(reader, at, static_cast<Opcode>(opcode));
      continue;
    }
    ConstExpr expr;
    if (!DecodeConstInstruction(reader, opcode, expr)) {
      break;
    }
    const_stack_.push_back(expr);
    const_ops_.push_back({.op = static_cast<Opcode>(opcode),
                          .bits = expr.kind == ConstExpr::Kind::kConst ? expr.bits : expr.index});
  }
  if (!ok()) {
    return {};
  }
  if (const_stack_.size() != 1) {
    reader.FailAt(begin,
                  absl::StrFormat("type mismatch: a constant expression has one value, this has %d",
                                  const_stack_.size()));
    return {};
  }
  ConstExpr expr = const_stack_.front();
  if (expr.type != expected) {
    reader.FailAt(begin, absl::StrFormat("type mismatch: expected %s, found %s", ToString(expected),
                                         ToString(expr.type)));
  }
  if (expr.kind == ConstExpr::Kind::kExtended) {
    expr.bits = const_ops_.size();
    expr.index = static_cast<uint32_t>(module_.const_ops.size());
    module_.const_ops.insert(module_.const_ops.end(), const_ops_.begin(), const_ops_.end());
  }
  return expr;
}

// Spec: binary-exportsec, valid-export
void ModuleDecoder::DecodeExports(ByteReader& reader) {
  const uint32_t count = reader.Count("exports", "kMaxExports", kMaxExports);
  module_.exports.reserve(count);
  absl::flat_hash_set<absl::string_view> names;
  names.reserve(count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    const uint32_t at = reader.offset();
    Export exported;
    exported.name = reader.Name();
    const uint32_t kind_at = reader.offset();
    const uint8_t kind = reader.U8();
    exported.index = reader.U32();
    if (!ok()) {
      return;
    }
    if (kind > 4) {
      reader.FailAt(kind_at, absl::StrFormat("malformed export kind 0x%02x", kind));
      return;
    }
    exported.kind = static_cast<ExternKind>(kind);
    switch (exported.kind) {
      case ExternKind::kFunc:
        if (CheckIndex(reader, at, "function", exported.index, module_.funcs.size())) {
          module_.funcs[exported.index].is_declared_ref = true;
        }
        break;
      case ExternKind::kTable:
        CheckIndex(reader, at, "table", exported.index, module_.tables.size());
        break;
      case ExternKind::kMemory:
        CheckIndex(reader, at, "memory", exported.index, module_.memories.size());
        break;
      case ExternKind::kGlobal:
        CheckIndex(reader, at, "global", exported.index, module_.globals.size());
        break;
      case ExternKind::kTag:
        CheckIndex(reader, at, "tag", exported.index, module_.tags.size());
        break;
    }
    if (!names.insert(absl::string_view(exported.name.data(), exported.name.size())).second) {
      reader.FailAt(at, absl::StrFormat("duplicate export name \"%s\"", exported.name));
    }
    module_.exports.push_back(exported);
  }
}

// Spec: binary-startsec, valid-start
void ModuleDecoder::DecodeStart(ByteReader& reader) {
  const uint32_t at = reader.offset();
  const uint32_t index = reader.U32();
  if (!CheckIndex(reader, at, "function", index, module_.funcs.size())) {
    return;
  }
  if (module_.func_type(index) != FuncType{}) {
    reader.FailAt(at, "start function must have neither parameters nor results");
    return;
  }
  module_.start = index;
}

// Bit 0 of the flags: not active. Bit 1: a table index or, if not active, declarative. Bit 2:
// expressions in place of function indices. Spec: binary-elemsec, valid-elem
void ModuleDecoder::DecodeElements(ByteReader& reader) {
  const uint32_t count = reader.Count("element segments", "kMaxElemSegments", kMaxElemSegments);
  module_.elems.reserve(count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    const uint32_t at = reader.offset();
    const uint32_t flags = reader.U32();
    if (flags > 7) {
      reader.FailAt(at, "malformed elements segment kind");
    }
    if (!ok()) {
      return;
    }
    const bool is_active = (flags & 1) == 0;
    const bool is_explicit = (flags & 2) != 0;
    const bool is_exprs = (flags & 4) != 0;
    ElemSegment& elem = module_.elems.emplace_back();
    if (is_active) {
      elem.mode = ElemSegment::Mode::kActive;
      elem.table_index = is_explicit ? reader.U32() : 0;
      if (!CheckIndex(reader, at, "table", elem.table_index, module_.tables.size())) {
        return;
      }
      elem.offset =
          DecodeConstExpr(reader, ValTypeOf(module_.tables[elem.table_index].type.address));
    } else {
      elem.mode = is_explicit ? ElemSegment::Mode::kDeclarative : ElemSegment::Mode::kPassive;
    }
    if (flags != 0 && flags != 4) {
      if (is_exprs) {
        elem.type = DecodeRefType(reader);
      } else if (const uint32_t kind_at = reader.offset(); reader.U8() != 0) {
        reader.FailAt(kind_at, "malformed element kind");
      }
    }
    if (ok() && is_active && module_.tables[elem.table_index].type.element != elem.type) {
      reader.FailAt(at, "type mismatch: an element segment of another type than its table");
    }
    DecodeElementInits(reader, is_exprs, elem);
  }
}

void ModuleDecoder::DecodeElementInits(ByteReader& reader, bool is_exprs, ElemSegment& elem) {
  const uint32_t count =
      reader.Count("elements of a segment", "kMaxElemSegmentLength", kMaxElemSegmentLength);
  elem.init.reserve(count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    if (is_exprs) {
      elem.init.push_back(DecodeConstExpr(reader, elem.type));
      continue;
    }
    const uint32_t at = reader.offset();
    const uint32_t index = reader.U32();
    if (!CheckIndex(reader, at, "function", index, module_.funcs.size())) {
      return;
    }
    module_.funcs[index].is_declared_ref = true;
    elem.init.push_back(
        {.kind = ConstExpr::Kind::kRefFunc, .type = ValType::kFuncRef, .bits = 0, .index = index});
  }
}

// Spec: binary-datacountsec
void ModuleDecoder::DecodeDataCount(ByteReader& reader) {
  const uint32_t at = reader.offset();
  module_.data_count = reader.U32();
  CheckLimit(reader, at, "data segments", *module_.data_count, "kMaxDataSegments",
             kMaxDataSegments);
}

// Splits the section into bodies, which the function walker decodes. Spec: binary-codesec
void ModuleDecoder::DecodeCode(ByteReader& reader) {
  const uint32_t at = reader.offset();
  has_code_ = true;
  module_.code_section_bytes = reader.remaining();
  const uint32_t count = reader.Count("functions", "kMaxFuncs", kMaxFuncs);
  if (ok() && count != declared_funcs_) {
    reader.FailAt(at, "function and code section have inconsistent lengths");
  }
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    const uint32_t body_at = reader.offset();
    const uint32_t size = reader.U32();
    CheckLimit(reader, body_at, "bytes in a function body", size, "kMaxFuncBodyBytes",
               kMaxFuncBodyBytes);
    const ByteReader body = reader.Sub(size);
    Func& func = module_.funcs[module_.imported_funcs + i];
    func.body_offset = body.offset();
    func.body_bytes = body.remaining();
  }
}

// Spec: binary-datasec, valid-data
void ModuleDecoder::DecodeDatas(ByteReader& reader) {
  const uint32_t count_at = reader.offset();
  const uint32_t count = reader.Count("data segments", "kMaxDataSegments", kMaxDataSegments);
  if (ok() && module_.data_count.has_value() && *module_.data_count != count) {
    reader.FailAt(count_at, "data count and data section have inconsistent lengths");
  }
  module_.datas.reserve(count);
  for (uint32_t i = 0; i < count && GoesOn(i); ++i) {
    const uint32_t at = reader.offset();
    const uint32_t flags = reader.U32();
    if (flags > 2) {
      reader.FailAt(at, "malformed data segment kind");
    }
    if (!ok()) {
      return;
    }
    DataSegment& data = module_.datas.emplace_back();
    data.is_active = flags != 1;
    if (data.is_active) {
      data.memory_index = flags == 2 ? reader.U32() : 0;
      if (!CheckIndex(reader, at, "memory", data.memory_index, module_.memories.size())) {
        return;
      }
      data.offset =
          DecodeConstExpr(reader, ValTypeOf(module_.memories[data.memory_index].type.address));
    }
    const ByteReader contents = reader.Sub(reader.U32());
    data.bytes_offset = contents.offset();
    data.bytes_size = contents.remaining();
  }
}

void ModuleDecoder::CheckEnd(ByteReader& reader) {
  if (ok() && declared_funcs_ != 0 && !has_code_) {
    reader.Fail("function and code section have inconsistent lengths");
  }
  if (ok() && module_.data_count.value_or(0) != 0 && module_.datas.empty()) {
    reader.Fail("data count and data section have inconsistent lengths");
  }
}

// Best effort, with an error of its own: reading stops at the first thing that is malformed.
// Spec: binary-namesec
void ModuleDecoder::DecodeNames() {
  const auto custom = std::ranges::find(module_.customs, "name", &CustomSection::name);
  if (custom == module_.customs.end()) {
    return;
  }
  BinaryError ignored;
  const auto begin = static_cast<uint32_t>(custom->contents.data() - bytes_.data());
  ByteReader reader(bytes_, begin, begin + static_cast<uint32_t>(custom->contents.size()), ignored);
  while (reader.ok() && !reader.at_end()) {
    const uint8_t id = reader.U8();
    const uint32_t size = reader.U32();
    ByteReader subsection = reader.Sub(size);
    if (id == 0 && reader.ok()) {
      module_.names.module_name = subsection.Name();
    } else if (id == 1 && reader.ok()) {
      DecodeFunctionNames(subsection);
    }
  }
}

void ModuleDecoder::DecodeFunctionNames(ByteReader& reader) {
  std::vector<std::pair<uint32_t, std::string_view>>& names = module_.names.function_names;
  if (!names.empty()) {
    return;  // A second subsection.
  }
  const uint32_t count = reader.Count("function names", "kMaxFuncs", kMaxFuncs);
  names.reserve(std::min(size_t{count}, module_.funcs.size()));
  for (uint32_t i = 0; i < count && reader.ok() && GoesOn(i); ++i) {
    const uint32_t index = reader.U32();
    const std::string_view name = reader.Name();
    const bool is_ascending = names.empty() || names.back().first < index;
    if (reader.ok() && is_ascending && index < module_.funcs.size()) {
      names.emplace_back(index, name);
    }
  }
}

}  // namespace

absl::StatusOr<Module> DecodeModule(std::span<const std::byte> bytes, const FeatureSet& features,
                                    const std::atomic<bool>* cancel) {
  return ModuleDecoder(bytes, features, cancel).Decode();
}

}  // namespace wasmd::engine
