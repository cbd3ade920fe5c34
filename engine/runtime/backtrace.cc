#include "engine/runtime/backtrace.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_format.h"

#include "engine/base/check.h"
#include "engine/code/code_map.h"
#include "engine/code/module_code.h"
#include "engine/runtime/loaded_module_impl.h"
#include "engine/trap/activation.h"

namespace wasmd::engine {

class Backtrace::Captured {
 public:
  Captured(std::vector<BacktraceFrame> frames, uint64_t omitted_frames)
      : named_(std::move(frames)), omitted_frames_(omitted_frames) {}

  Captured(const TrapRecord& record, uint32_t max_frames)
      : omitted_frames_(record.omitted_callers) {
    places_.reserve(std::min(record.caller_count + 1, max_frames));
    Add(record.pc, record.is_return_address);
    for (uint32_t i = 0; i < record.caller_count; ++i) {
      if (places_.size() == max_frames) {
        omitted_frames_ += record.caller_count - i;
        break;
      }
      Add(record.callers[i], /*is_return_address=*/true);
    }
  }

  std::vector<BacktraceFrame> frames() const {
    std::vector<BacktraceFrame> frames = named_;
    frames.reserve(frames.size() + places_.size());
    for (const Place& place : places_) {
      frames.push_back(LookUp(place));
    }
    return frames;
  }
  size_t size() const { return named_.size() + places_.size(); }
  uint64_t omitted_frames() const { return omitted_frames_; }

 private:
  // Most backtraces are of one module, and short.
  static constexpr size_t kInlinedModules = 2;
  static constexpr size_t kInlinedPlaces = 8;
  using ModulePtr = std::shared_ptr<const LoadedModule::Impl>;

  struct Place {
    uint64_t pc = 0;
    uint32_t module = 0;  // Index in modules_.
    bool is_return_address = false;
  };

  // An address in one of our stubs has no owner, and is no frame.
  void Add(uint64_t pc, bool is_return_address) {
    const ModuleCode* const code = CodeOwner(pc);
    if (code == nullptr) {
      return;
    }
    const auto& module = *static_cast<const LoadedModule::Impl*>(code->owner());
    places_.push_back({pc, IndexOf(module), is_return_address});
  }

  uint32_t IndexOf(const LoadedModule::Impl& module) {
    // From the end: a frame's module is most often its callee's.
    const auto found = std::find_if(modules_.rbegin(), modules_.rend(),
                                    [&](const ModulePtr& kept) { return kept.get() == &module; });
    if (found == modules_.rend()) {
      modules_.push_back(module.shared_from_this());
      return static_cast<uint32_t>(modules_.size() - 1);
    }
    return static_cast<uint32_t>(modules_.rend() - found - 1);
  }

  BacktraceFrame LookUp(const Place& place) const {
    const LoadedModule::Impl& impl = *modules_[place.module];
    const std::optional<ModuleCode::Location> location =
        impl.code().Find(place.pc, place.is_return_address);
    WASMD_CHECK(location.has_value(), "a frame is in a function of its module");
    const Module& module = impl.module();
    std::string_view name = module.func_name(location->func_index);
    if (name.empty()) {
      name = impl.FirstExportOfFunc(location->func_index);
    }
    return {.module_name = std::string(module.names.module_name),
            .func_index = location->func_index,
            .func_name = std::string(name),
            .wasm_offset = module.funcs[location->func_index].body_offset + location->wasm_offset};
  }

  std::vector<BacktraceFrame> named_;
  absl::InlinedVector<ModulePtr, kInlinedModules> modules_;  // Shared: see the header.
  absl::InlinedVector<Place, kInlinedPlaces> places_;
  uint64_t omitted_frames_;
};

Backtrace::Backtrace(std::vector<BacktraceFrame> frames, uint64_t omitted_frames)
    : captured_(std::make_shared<const Captured>(std::move(frames), omitted_frames)) {}

Backtrace Backtrace::Capture(const TrapRecord& record, uint32_t max_frames) {
  Backtrace backtrace;
  if (max_frames != 0 && record.pc != 0) {
    backtrace.captured_ = std::make_shared<const Captured>(record, max_frames);
  }
  return backtrace;
}

std::vector<BacktraceFrame> Backtrace::frames() const {
  return captured_ == nullptr ? std::vector<BacktraceFrame>() : captured_->frames();
}
size_t Backtrace::size() const {
  return captured_ == nullptr ? 0 : captured_->size();
}
uint64_t Backtrace::omitted_frames() const {
  return captured_ == nullptr ? 0 : captured_->omitted_frames();
}

std::string ToString(const Backtrace& backtrace) {
  std::string text;
  int i = 0;
  for (const BacktraceFrame& frame : backtrace.frames()) {
    absl::StrAppendFormat(&text, "%3d: %s%s%s (func %d) at 0x%x\n", i++, frame.module_name,
                          frame.module_name.empty() ? "" : "!",
                          frame.func_name.empty() ? "?" : frame.func_name, frame.func_index,
                          frame.wasm_offset);
  }
  if (backtrace.omitted_frames() != 0) {
    absl::StrAppendFormat(&text, "     … and %d more\n", backtrace.omitted_frames());
  }
  return text;
}

}  // namespace wasmd::engine
