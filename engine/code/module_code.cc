#include "engine/code/module_code.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "engine/base/str_cat.h"
#include "engine/code/code_memory.h"

namespace wasmd::engine {
namespace {

// Fetch windows of current processors; loops are aligned by the compilers.
constexpr uint64_t kFunctionAlignment = 32;
// A module's runs double up to this: few for a small module, not many for a large one.
constexpr uint64_t kMaxRunChunks = 32;

}  // namespace

bool CodeQuota::Take(uint64_t size_bytes) {
  uint64_t used = used_bytes_.load(std::memory_order_relaxed);
  do {
    if (size_bytes > limit_bytes_ || used > limit_bytes_ - size_bytes) {
      return false;
    }
  } while (!used_bytes_.compare_exchange_weak(used, used + size_bytes, std::memory_order_relaxed));
  return true;
}

ModuleCode::ModuleCode(CodeArena& arena, CodeQuota& quota, const void* owner,
                       std::shared_ptr<Accountant> accountant)
    : arena_(arena), quota_(quota), owner_(owner), accountant_(std::move(accountant)) {}

ModuleCode::~ModuleCode() {
  const MutexLock lock(mutex_);
  for (const ChunkRun run : runs_) {
    arena_.Free(run);
    Uncharge(run.count);
  }
}

absl::Status ModuleCode::Charge(uint64_t count) {
  const uint64_t bytes = count * kCodeChunkBytes;
  if (!quota_.Take(bytes)) {
    return CodeMemorySpent("EngineOptions::code_bytes");
  }
  if (accountant_ != nullptr) {
    if (const std::optional<NamedLimit> refusal = accountant_->Charge(bytes)) {
      quota_.Give(bytes);
      return absl::ResourceExhaustedError(StrCat("the machine code is over the limit ",
                                                 refusal->name, " of ", refusal->amount, " bytes"));
    }
  }
  return absl::OkStatus();
}

void ModuleCode::Uncharge(uint64_t count) {
  quota_.Give(count * kCodeChunkBytes);
  if (accountant_ != nullptr) {
    accountant_->Release(count * kCodeChunkBytes);
  }
}

absl::StatusOr<ChunkRun> ModuleCode::TakeRun(uint64_t needed) {
  uint64_t count = std::max(needed, std::min(chunks_, kMaxRunChunks));
  if (!Charge(count).ok()) {
    count = needed;
    WASMD_RETURN_IF_ERROR(Charge(count));
  }
  absl::StatusOr<ChunkRun> run = arena_.Take(static_cast<uint32_t>(count), ChunkOwnerOf(*this));
  if (!run.ok()) {
    Uncharge(count);
  }
  return run;
}

absl::StatusOr<const void*> ModuleCode::Append(uint32_t func_index, std::span<const uint8_t> code,
                                               std::vector<CodeSite> sites, HandlerTable handlers) {
  WASMD_CHECK(!code.empty());
  WASMD_DCHECK(std::ranges::is_sorted(sites, {}, &CodeSite::pc_offset));
  const MutexLock lock(mutex_);
  const uint64_t room = runs_.empty() ? 0 : runs_.back().count * kCodeChunkBytes - fill_bytes_;
  if (code.size() > room) {
    const uint64_t needed = (code.size() + kCodeChunkBytes - 1) / kCodeChunkBytes;
    WASMD_ASSIGN_OR_RETURN(const ChunkRun run, TakeRun(needed));
    runs_.push_back(run);
    chunks_ += run.count;
    fill_bytes_ = 0;
  }
  const uint32_t chunk = runs_.back().first;
  std::memcpy(arena_.writable(chunk) + fill_bytes_, code.data(), code.size());
  const std::byte* address = arena_.executable(chunk) + fill_bytes_;
  fill_bytes_ = std::min((fill_bytes_ + code.size() + kFunctionAlignment - 1) / kFunctionAlignment *
                             kFunctionAlignment,
                         runs_.back().count * kCodeChunkBytes);
  code_bytes_ += code.size();
  sites.shrink_to_fit();
  functions_.emplace(
      reinterpret_cast<uint64_t>(address),
      Function{
          func_index, static_cast<uint32_t>(code.size()), std::move(sites),
          handlers.empty() ? nullptr : std::make_unique<const HandlerTable>(std::move(handlers))});
  return address;
}

ModuleCode::Handlers ModuleCode::HandlersAt(uint64_t return_address) const {
  const MutexLock lock(mutex_);
  const auto next = functions_.upper_bound(return_address - 1);
  if (next == functions_.begin()) {
    return {};
  }
  const auto& [begin, function] = *std::prev(next);
  return {begin, function.code_bytes, function.handlers.get()};
}

std::optional<ModuleCode::Location> ModuleCode::Find(uint64_t pc, bool is_return_address) const {
  const MutexLock lock(mutex_);
  auto next = functions_.upper_bound(is_return_address ? pc - 1 : pc);
  if (next == functions_.begin()) {
    return std::nullopt;
  }
  const auto& [start, function] = *std::prev(next);
  const uint64_t offset = pc - start;
  if (is_return_address ? offset > function.code_bytes : offset >= function.code_bytes) {
    return std::nullopt;
  }
  Location location;
  location.func_index = function.func_index;
  auto after = std::ranges::upper_bound(function.sites, offset, {}, &CodeSite::pc_offset);
  if (after != function.sites.begin()) {
    const CodeSite& site = *std::prev(after);
    location.wasm_offset = site.wasm_offset;
    if (site.pc_offset == offset) {
      location.site = site;
    }
  }
  return location;
}

uint64_t ModuleCode::code_bytes() const {
  const MutexLock lock(mutex_);
  return code_bytes_;
}

uint64_t ModuleCode::arena_bytes() const {
  const MutexLock lock(mutex_);
  return chunks_ * kCodeChunkBytes;
}

}  // namespace wasmd::engine
