// Linking and instantiation. Everything that can fail for want of resources happens on the side,
// before the store is touched: an instantiation that fails leaves nothing behind. Once a segment
// may have run, the instance stays in the store, since shared tables may hold its functions.
#include "engine/runtime/linker.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "engine/abi/builtins.h"
#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/str_cat.h"
#include "engine/runtime/instance_access.h"
#include "engine/runtime/lazy_entry.h"
#include "engine/runtime/loaded_module_impl.h"
#include "engine/runtime/store_impl.h"
#include "engine/trap/entry.h"

namespace wasmd::engine {
namespace {

constexpr size_t kMaxUnknownImportsTold = 20;

// Spec: match-limits
bool LimitsMatch(const Limits& have, const Limits& want) {
  return have.min >= want.min &&
         (!want.max.has_value() || (have.max.has_value() && *have.max <= *want.max));
}

// Spec: match-externtype
struct Matcher {
  const ExternType& have;
  bool operator()(const FuncType& want) const { return std::get<FuncType>(have) == want; }
  bool operator()(const TableType& want) const {
    const auto& table = std::get<TableType>(have);
    return table.element == want.element && table.address == want.address &&
           LimitsMatch(table.limits, want.limits);
  }
  bool operator()(const MemoryType& want) const {
    const auto& memory = std::get<MemoryType>(have);
    return memory.address == want.address && memory.page_shift == want.page_shift &&
           LimitsMatch(memory.limits, want.limits);
  }
  bool operator()(const GlobalType& want) const { return std::get<GlobalType>(have) == want; }
  bool operator()(const TagType& want) const { return std::get<TagType>(have) == want; }
};

bool Matches(const ExternType& have, const ExternType& want) {
  return have.index() == want.index() && std::visit(Matcher{have}, want);
}

}  // namespace

void Linker::DefineFunc(std::string_view module, std::string_view name, FuncType type,
                        HostCallback callback) {
  DefineHost(module, name, HostBinding::Define(std::move(type), std::move(callback)));
}

void Linker::DefineHost(std::string_view module, std::string_view name, HostDefinition definition) {
  definitions_.insert_or_assign(std::make_pair(std::string(module), std::string(name)),
                                std::move(definition));
}

void Linker::Define(std::string_view module, std::string_view name, Extern value) {
  definitions_.insert_or_assign(std::make_pair(std::string(module), std::string(name)), value);
}

void Linker::DefineInstance(std::string_view module, Instance& instance) {
  for (const Export& item : instance.module().module().exports) {
    Define(module, item.name, *instance.FindExport(item.name));
  }
}

const Linker::Definition* Linker::Find(std::string_view module, std::string_view name) const {
  const auto found = definitions_.find(std::make_pair(std::string(module), std::string(name)));
  return found == definitions_.end() ? nullptr : &found->second;
}

absl::StatusOr<std::vector<const Linker::Definition*>> Linker::Resolve(
    const LoadedModule& module) const {
  const Module& wanted = module.module();
  std::vector<const Definition*> found;
  found.reserve(wanted.imports.size());
  std::string unknown;
  size_t unknown_count = 0;
  for (const Import& item : wanted.imports) {
    found.push_back(Find(item.module, item.name));
    if (found.back() == nullptr && ++unknown_count <= kMaxUnknownImportsTold) {
      StrAppend(&unknown, unknown.empty() ? "" : ", ", item.module, ".", item.name, " ",
                ToString(ExternTypeOf(wanted, item.kind, item.index)));
    }
  }
  if (unknown_count != 0) {
    if (unknown_count > kMaxUnknownImportsTold) {
      StrAppend(&unknown, " and ", unknown_count - kMaxUnknownImportsTold, " more");
    }
    return absl::InvalidArgumentError(StrCat("unknown import ", unknown));
  }
  WASMD_RETURN_IF_ERROR(CheckTypes(module, found));
  return found;
}

absl::Status Linker::CheckTypes(const LoadedModule& module,
                                std::span<const Definition* const> imports) {
  const Module& wanted = module.module();
  for (size_t i = 0; i < imports.size(); ++i) {
    const Import& item = wanted.imports[i];
    const ExternType want = ExternTypeOf(wanted, item.kind, item.index);
    const auto* host = std::get_if<HostDefinition>(imports[i]);
    const ExternType have =
        host != nullptr ? ExternType(host->type) : TypeOf(std::get<Extern>(*imports[i]));
    if (!Matches(have, want)) {
      return absl::InvalidArgumentError(StrCat("incompatible import type of ", item.module, ".",
                                               item.name, ": the module wants ", ToString(want),
                                               ", there is ", ToString(have)));
    }
  }
  return absl::OkStatus();
}

absl::Status Linker::CheckImports(const LoadedModule& module) const {
  return Resolve(module).status();
}

// Builds one instance.
class Instantiator {
 public:
  Instantiator(Store& store, std::shared_ptr<LoadedModule> module)
      : store_(store),
        impl_(store.impl()),
        code_(module->impl()),
        module_(code_.module()),
        layout_(code_.layout()),
        owned_instance_(new Instance(store, std::move(module))),
        instance_(owned_instance_.get()) {}
  Instantiator(const Instantiator&) = delete;
  Instantiator& operator=(const Instantiator&) = delete;
  ~Instantiator() {
    if (owned_instance_ != nullptr) {
      impl_.instance_quota.Give(taken_bytes_);
    }
  }

  // `imports`: what each is linked to, of the right type.
  absl::Status Build(std::span<const Linker::Definition* const> imports);
  // Hands everything to the store, then runs active segments and the start function. Spec:
  // exec-instantiation
  absl::StatusOr<Instantiation> Run();

 private:
  absl::Status TakeBytes();
  absl::Status AllocateContext();
  absl::Status LinkImports(std::span<const Linker::Definition* const> imports);
  void LinkFunc(const Linker::Definition& definition);
  absl::Status MakeTables();
  absl::Status MakeMemories();
  void MakeTags();
  void MakeGlobals();
  void MakeElems();
  Cell Evaluate(const ConstExpr& expr);
  uint64_t EvaluateExtended(std::span<const ConstOp> ops);
  // Has imports corrected whose code is compiled later.
  void SubscribeImports();
  // kNone, or how it trapped.
  bool IsInterrupted(uint64_t item) const;
  Interrupt Interrupted();
  TrapCode RunSegments();
  // A word of the context, at `offset`.
  template <typename T>
  T& At(uint32_t offset) {
    return *reinterpret_cast<T*>(reinterpret_cast<std::byte*>(instance_->context_.get()) + offset);
  }

  Store& store_;
  Store::Impl& impl_;
  LoadedModule::Impl& code_;
  const Module& module_;
  const ContextLayout& layout_;
  uint64_t taken_bytes_ = 0;  // Of the instance's own state.
  std::vector<std::unique_ptr<HostBinding>> bindings_;
  std::vector<std::unique_ptr<TableInstance>> tables_;
  std::vector<std::unique_ptr<LinearMemory>> memories_;
  std::unique_ptr<Instance>
      owned_instance_;  // Goes before what it refers to. Null once it is the store's.
  Instance* const instance_;
};

// What the host keeps for an instance beside its memories and tables. Function references are made
// when they are asked for, but then nobody can refuse them.
absl::Status Instantiator::TakeBytes() {
  uint64_t bytes = layout_.total_bytes() + module_.funcs.size() * sizeof(FuncRef) +
                   module_.globals.size() * (sizeof(GlobalInstance) + sizeof(GlobalInstance*)) +
                   module_.datas.size() / 8;
  for (const ElemSegment& segment : module_.elems) {
    bytes += sizeof(std::vector<uint64_t>);
    if (segment.mode == ElemSegment::Mode::kPassive) {
      bytes += segment.init.size() * sizeof(uint64_t);
    }
  }
  if (!impl_.instance_quota.Take(bytes)) {
    return absl::ResourceExhaustedError(StrCat("an instance of ", bytes,
                                               " bytes beside its memories is over the limit ",
                                               LimitText(impl_.instance_quota)));
  }
  taken_bytes_ = bytes;
  return absl::OkStatus();
}

absl::Status Instantiator::AllocateContext() {
  void* memory = std::aligned_alloc(alignof(Cell), layout_.total_bytes());
  if (memory == nullptr) {
    return absl::ResourceExhaustedError("no memory for an instance");
  }
  std::memset(memory, 0, layout_.total_bytes());
  auto* context = new (memory) InstanceContext();
  instance_->context_.reset(context);
  instance_->func_refs_.resize((module_.funcs.size() + Instance::kFuncRefChunk - 1) /
                               Instance::kFuncRefChunk);
  context->store = &impl_.context;
  context->func_table = code_.func_table();
  context->type_ids = code_.type_ids().data();
  context->builtins = kBuiltinTable;
  context->raise_trap = reinterpret_cast<const void*>(&wasmd_raise_trap);
  context->lazy_entry = reinterpret_cast<const void*>(&wasmd_lazy_entry);
  context->instance = instance_;
  At<int64_t>(layout_.fuel()) = static_cast<int64_t>(std::min(impl_.options.fuel, kUnlimitedFuel));
  return absl::OkStatus();
}

void Instantiator::LinkFunc(const Linker::Definition& definition) {
  FuncRef* ref = nullptr;
  if (const auto* host = std::get_if<HostDefinition>(&definition)) {
    bindings_.push_back(std::make_unique<HostBinding>(store_, instance_, *host));
    ref = &bindings_.back()->ref();
  } else {
    ref = std::get<FuncHandle>(std::get<Extern>(definition)).ref();
  }
  auto& cell = At<ImportedFunc>(
      layout_.imported_func(static_cast<uint32_t>(instance_->imported_funcs_.size())));
  cell.code = ref->code.load(std::memory_order_relaxed);
  cell.context = ref->context;
  instance_->imported_funcs_.push_back(ref);
}

absl::Status Instantiator::LinkImports(std::span<const Linker::Definition* const> imports) {
  for (size_t i = 0; i < imports.size(); ++i) {
    const Import& item = module_.imports[i];
    const Linker::Definition& definition = *imports[i];
    if (const auto* value = std::get_if<Extern>(&definition)) {
      const Store& owner =
          std::visit([](const auto& handle) -> const Store& { return handle.store(); }, *value);
      if (&owner != &store_) {
        return absl::InvalidArgumentError(
            StrCat("import ", item.module, ".", item.name, " belongs to another store"));
      }
    }
    switch (item.kind) {
      case ExternKind::kFunc:
        LinkFunc(definition);
        break;
      case ExternKind::kTable:
        instance_->tables_.push_back(&std::get<TableHandle>(std::get<Extern>(definition)).table());
        break;
      case ExternKind::kMemory:
        instance_->memories_.push_back(
            &std::get<MemoryHandle>(std::get<Extern>(definition)).memory());
        break;
      case ExternKind::kGlobal: {
        GlobalInstance& global = std::get<GlobalHandle>(std::get<Extern>(definition)).global();
        At<Cell*>(layout_.global(static_cast<uint32_t>(instance_->globals_.size()))) = global.cell;
        instance_->globals_.push_back(&global);
        break;
      }
      case ExternKind::kTag:
        instance_->tags_.push_back(&std::get<TagHandle>(std::get<Extern>(definition)).tag());
        break;
    }
  }
  return absl::OkStatus();
}

absl::Status Instantiator::MakeTables() {
  for (size_t i = instance_->tables_.size(); i < module_.tables.size(); ++i) {
    WASMD_ASSIGN_OR_RETURN(std::unique_ptr<TableInstance> table,
                           TableInstance::Create(module_.tables[i].type, 0, impl_.table_quota));
    instance_->tables_.push_back(table.get());
    tables_.push_back(std::move(table));
  }
  for (uint32_t i = 0; i < instance_->tables_.size(); ++i) {
    At<TableContext*>(layout_.table_pointer(i)) = &instance_->tables_[i]->context();
  }
  return absl::OkStatus();
}

absl::Status Instantiator::MakeMemories() {
  for (size_t i = instance_->memories_.size(); i < module_.memories.size(); ++i) {
    WASMD_ASSIGN_OR_RETURN(std::unique_ptr<LinearMemory> memory,
                           LinearMemory::Create(module_.memories[i].type, impl_.env->memory_slots(),
                                                impl_.memory_quota, code_.memory_images()[i]));
    instance_->memories_.push_back(memory.get());
    memories_.push_back(std::move(memory));
  }
  for (uint32_t i = 0; i < instance_->memories_.size(); ++i) {
    At<MemoryContext*>(layout_.memory_pointer(i)) = &instance_->memories_[i]->context();
  }
  if (!instance_->memories_.empty()) {
    instance_->context_->memory_base = instance_->memories_[0]->base();
  }
  return absl::OkStatus();
}

// Spec: exec-expr. Globals that are got are there already: validation has seen to it.
Cell Instantiator::Evaluate(const ConstExpr& expr) {
  switch (expr.kind) {
    case ConstExpr::Kind::kConst:
      return {expr.bits, expr.hi};
    case ConstExpr::Kind::kGlobalGet:
      return *instance_->globals_[expr.index]->cell;
    case ConstExpr::Kind::kRefNull:
      return {};
    case ConstExpr::Kind::kRefFunc:
      return {reinterpret_cast<uint64_t>(&instance_->FuncRefOf(expr.index)), 0};
    case ConstExpr::Kind::kExtended:
      return {EvaluateExtended(std::span(module_.const_ops).subspan(expr.index, expr.bits)), 0};
  }
  WASMD_UNREACHABLE();
}

uint64_t Instantiator::EvaluateExtended(std::span<const ConstOp> ops) {
  std::vector<uint64_t> stack;
  for (const ConstOp& op : ops) {
    if (op.op == Opcode::kI32Const || op.op == Opcode::kI64Const) {
      stack.push_back(op.bits);
    } else if (op.op == Opcode::kGlobalGet) {
      stack.push_back(instance_->globals_[op.bits]->cell->lo);
    } else {
      const uint64_t rhs = stack.back();
      stack.pop_back();
      stack.back() = EvaluateConstOp(op.op, stack.back(), rhs);
    }
  }
  return stack.back();
}

// Spec: alloc-tag
void Instantiator::MakeTags() {
  const size_t imported = instance_->tags_.size();
  instance_->own_tags_.reserve(module_.tags.size() - imported);  // Their addresses are given out.
  for (auto i = static_cast<uint32_t>(imported); i < module_.tags.size(); ++i) {
    instance_->own_tags_.push_back({&module_.tag_type(i)});
    instance_->tags_.push_back(&instance_->own_tags_.back());
  }
  for (uint32_t i = 0; i < instance_->tags_.size(); ++i) {
    At<const TagInstance*>(layout_.tag_address(i)) = instance_->tags_[i];
  }
}

void Instantiator::MakeGlobals() {
  const size_t imported = instance_->globals_.size();
  instance_->own_globals_.reserve(module_.globals.size() -
                                  imported);  // Pointers to them are given out.
  for (size_t i = imported; i < module_.globals.size(); ++i) {
    Cell& cell = At<Cell>(layout_.global(static_cast<uint32_t>(i)));
    cell = Evaluate(module_.globals[i].init);
    instance_->own_globals_.push_back({module_.globals[i].type, &cell});
    instance_->globals_.push_back(&instance_->own_globals_.back());
  }
}

void Instantiator::MakeElems() {
  instance_->elems_.resize(module_.elems.size());
  for (size_t i = 0; i < module_.elems.size(); ++i) {
    if (module_.elems[i].mode != ElemSegment::Mode::kPassive) {
      continue;  // Active ones go straight to their tables; declarative ones are dropped at once.
    }
    instance_->elems_[i].reserve(module_.elems[i].init.size());
    for (const ConstExpr& expr : module_.elems[i].init) {
      if (IsInterrupted(instance_->elems_[i].size())) {
        return;  // Run finds the flag again.
      }
      instance_->elems_[i].push_back(Evaluate(expr).lo);
    }
  }
  instance_->data_dropped_.resize(module_.datas.size());
}

absl::Status Instantiator::Build(std::span<const Linker::Definition* const> imports) {
  if (impl_.instances.size() >= impl_.options.instances) {
    return absl::ResourceExhaustedError(
        StrCat("the store has ", impl_.options.instances, " instances, its limit"));
  }
  WASMD_RETURN_IF_ERROR(TakeBytes());
  WASMD_RETURN_IF_ERROR(AllocateContext());
  WASMD_RETURN_IF_ERROR(LinkImports(imports));
  WASMD_RETURN_IF_ERROR(MakeTables());
  WASMD_RETURN_IF_ERROR(MakeMemories());
  MakeTags();
  MakeGlobals();
  MakeElems();
  return absl::OkStatus();
}

void Instantiator::SubscribeImports() {
  for (uint32_t i = 0; i < instance_->imported_funcs_.size(); ++i) {
    auto& cell = At<ImportedFunc>(layout_.imported_func(i));
    if (impl_.env->arena().IsLazyStub(cell.code)) {
      const FuncRef& ref = *instance_->imported_funcs_[i];
      InstanceAccess::AddImporter(static_cast<InstanceContext*>(ref.context), ref.func_index, cell);
    }
  }
}

// Looked at for each of many items: each few thousand of them.
bool Instantiator::IsInterrupted(uint64_t item) const {
  constexpr uint64_t kItems = 4096;
  return item % kItems == 0 &&
         impl_.context.interrupt_requested.load(std::memory_order_relaxed) != 0;
}

TrapCode Instantiator::RunSegments() {
  for (const ElemSegment& segment : module_.elems) {
    if (segment.mode != ElemSegment::Mode::kActive) {
      continue;
    }
    TableInstance& table = *instance_->tables_[segment.table_index];
    const uint64_t offset = Evaluate(segment.offset).lo;
    if (offset > table.size() || segment.init.size() > table.size() - offset) {
      return TrapCode::kTableOutOfBounds;
    }
    for (size_t i = 0; i < segment.init.size(); ++i) {
      if (IsInterrupted(i)) {
        return TrapCode::kInterrupt;
      }
      table.elements()[offset + i] = Evaluate(segment.init[i]).lo;
    }
  }
  for (size_t i = 0; i < module_.datas.size(); ++i) {
    const DataSegment& segment = module_.datas[i];
    if (!segment.is_active) {
      continue;
    }
    LinearMemory& memory = *instance_->memories_[segment.memory_index];
    const uint64_t offset = Evaluate(segment.offset).lo;
    if (offset > memory.size_bytes() || segment.bytes_size > memory.size_bytes() - offset) {
      return TrapCode::kMemoryOutOfBounds;
    }
    // What an image holds is there already.
    if (code_.memory_images()[segment.memory_index] == nullptr) {
      constexpr uint64_t kPieceBytes = 1 << 20;
      for (uint64_t done = 0; done < segment.bytes_size; done += kPieceBytes) {
        if (IsInterrupted(0)) {
          return TrapCode::kInterrupt;
        }
        std::memcpy(memory.base() + offset + done,
                    module_.bytes.data() + segment.bytes_offset + done,
                    std::min(kPieceBytes, segment.bytes_size - done));
      }
    }
    instance_->data_dropped_[i] = true;
  }
  return TrapCode::kNone;
}

Interrupt Instantiator::Interrupted() {
  const auto reason = static_cast<InterruptReason>(
      impl_.context.interrupt_requested.load(std::memory_order_relaxed));
  // An activation around this one, whose host function instantiates, is to find the flag.
  if (impl_.context.window.load(std::memory_order_relaxed) != kStoreActive) {
    impl_.interrupt->Acknowledge();
  }
  return {reason, impl_.abandoned, {}};
}

absl::StatusOr<Instantiation> Instantiator::Run() {
  for (auto& binding : bindings_) {
    impl_.bindings.push_back(std::move(binding));
  }
  for (auto& table : tables_) {
    impl_.tables.push_back(std::move(table));
  }
  for (auto& memory : memories_) {
    impl_.memories.push_back(std::move(memory));
  }
  Instance* const instance = instance_;
  impl_.instances.push_back(std::move(owned_instance_));
  SubscribeImports();
  const TrapCode code = IsInterrupted(0) ? TrapCode::kInterrupt : RunSegments();
  if (code == TrapCode::kInterrupt) {
    return Instantiation{nullptr, Outcome<void>(Interrupted())};
  }
  if (code != TrapCode::kNone) {
    return Instantiation{nullptr, Outcome<void>(Trap{code, std::string(ToString(code)), {}})};
  }
  if (module_.start.has_value()) {
    const FuncHandle start(store_, instance->FuncRefOf(*module_.start),
                           code_.type_of_func(*module_.start));
    WASMD_ASSIGN_OR_RETURN(Outcome<void> outcome, start.Call({}, {}));
    if (!outcome.ok()) {
      return Instantiation{nullptr, std::move(outcome)};
    }
  }
  return Instantiation{instance, Outcome<void>()};
}

absl::StatusOr<Instantiation> Linker::Instantiate(Store& store,
                                                  std::shared_ptr<LoadedModule> module) const {
  WASMD_ASSIGN_OR_RETURN(const std::vector<const Definition*> imports, Resolve(*module));
  return Instantiate(store, std::move(module), std::span<const Definition* const>(imports));
}

absl::StatusOr<Instantiation> Linker::Instantiate(Store& store,
                                                  std::shared_ptr<LoadedModule> module,
                                                  std::span<const Extern> imports) {
  if (const size_t wanted = module->module().imports.size(); imports.size() != wanted) {
    return absl::InvalidArgumentError(
        StrCat("the module wants ", wanted, " imports and gets ", imports.size()));
  }
  const std::vector<Definition> definitions(imports.begin(), imports.end());
  std::vector<const Definition*> found;
  found.reserve(definitions.size());
  for (const Definition& definition : definitions) {
    found.push_back(&definition);
  }
  WASMD_RETURN_IF_ERROR(CheckTypes(*module, found));
  return Instantiate(store, std::move(module), std::span<const Definition* const>(found));
}

absl::StatusOr<Instantiation> Linker::Instantiate(Store& store,
                                                  std::shared_ptr<LoadedModule> module,
                                                  std::span<const Definition* const> imports) {
  WASMD_CHECK(&module->impl().env() == store.impl().env.get(),
              "a module and a store of one engine");
  if (store.is_abandoned()) {
    return absl::FailedPreconditionError("the store was abandoned when its guest was interrupted");
  }
  Instantiator instantiator(store, std::move(module));
  WASMD_RETURN_IF_ERROR(instantiator.Build(imports));
  return instantiator.Run();
}

}  // namespace wasmd::engine
