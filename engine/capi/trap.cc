// Traps and frames of wasm.h.
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "engine/capi/objects.h"
#include "engine/capi/vec.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {
namespace {

// A frame says module name, function and offset. It belongs to one of the modules that were
// instantiated here; where more than one has such a function there, what they do not agree on is
// left out rather than guessed.
wasm_frame_t Resolve(const wasm_store_t& store, const BacktraceFrame& frame) {
  wasm_frame_t result = {.instance = nullptr,
                         .func_index = frame.func_index,
                         .func_offset = 0,
                         .module_offset = frame.wasm_offset};
  size_t found = 0;
  for (const auto& [module, use] : store.modules) {
    if (module->name() != frame.module_name || frame.func_index >= module->module().funcs.size()) {
      continue;
    }
    const Func& func = module->module().funcs[frame.func_index];
    if (frame.wasm_offset < func.body_offset ||
        frame.wasm_offset - func.body_offset > func.body_bytes) {
      continue;
    }
    const size_t func_offset = frame.wasm_offset - func.body_offset;
    const bool is_first = found++ == 0;
    result.func_offset = is_first || result.func_offset == func_offset ? func_offset : 0;
    result.instance = is_first && use.instances == 1 ? use.last : nullptr;
  }
  return result;
}

void AddFrames(const Backtrace& backtrace, wasm_trap_t& trap) {
  for (const BacktraceFrame& frame : backtrace.frames()) {
    trap.frames.push_back(Resolve(*trap.store, frame));
  }
}

}  // namespace

wasm_trap_t* NewTrap(wasm_store_t* store, std::string message) {
  return new wasm_trap_t(store, std::move(message));
}

wasm_trap_t* TrapOf(wasm_store_t* store, const Stop& stop) {
  if (const Exception* const exception = std::get_if<Exception>(&stop)) {
    wasm_trap_t* const result = NewTrap(store, ToString(stop));
    AddFrames(exception->backtrace, *result);
    return result;
  }
  const Trap* const trap = std::get_if<Trap>(&stop);
  if (trap == nullptr) {
    return NewTrap(store, ToString(stop));
  }
  wasm_trap_t* const returned = std::exchange(store->pending_trap, nullptr);
  wasm_trap_t* const result = returned != nullptr ? returned : NewTrap(store, trap->message);
  // A trap that travels through several activations keeps the innermost frames.
  if (result->frames.empty()) {
    AddFrames(trap->backtrace, *result);
  }
  return result;
}

namespace {

wasm_frame_t* NewFrame(const wasm_trap_t& trap, const wasm_frame_t& frame) {
  auto* const result = new wasm_frame_t(frame);
  result->instance = trap.store->store == nullptr ? nullptr : AddRef(frame.instance);
  return result;
}

}  // namespace
}  // namespace wasmd::engine

extern "C" {

WASMD_DEFINE_POINTER_VEC(frame)

void wasm_frame_delete(wasm_frame_t* frame) {
  if (frame != nullptr) {
    wasmd::engine::Unref(frame->instance);
    delete frame;
  }
}
wasm_frame_t* wasm_frame_copy(const wasm_frame_t* frame) {
  wasmd::engine::AddRef(frame->instance);
  return new wasm_frame_t(*frame);
}
wasm_instance_t* wasm_frame_instance(const wasm_frame_t* frame) {
  return frame->instance;
}
uint32_t wasm_frame_func_index(const wasm_frame_t* frame) {
  return frame->func_index;
}
size_t wasm_frame_func_offset(const wasm_frame_t* frame) {
  return frame->func_offset;
}
size_t wasm_frame_module_offset(const wasm_frame_t* frame) {
  return frame->module_offset;
}

wasm_trap_t* wasm_trap_new(wasm_store_t* store, const wasm_message_t* message) {
  std::string text;
  if (message != nullptr && message->size != 0) {
    text.assign(message->data, message->size);
    if (text.back() == '\0') {
      text.pop_back();
    }
  }
  return wasmd::engine::NewTrap(store, std::move(text));
}
void wasm_trap_message(const wasm_trap_t* trap, wasm_message_t* out) {
  // c_str(): the zero byte counts.
  wasm_byte_vec_new(out, trap->message.size() + 1, trap->message.c_str());
}
wasm_frame_t* wasm_trap_origin(const wasm_trap_t* trap) {
  return trap->frames.empty() ? nullptr : wasmd::engine::NewFrame(*trap, trap->frames.front());
}
void wasm_trap_trace(const wasm_trap_t* trap, wasm_frame_vec_t* out) {
  wasm_frame_vec_new_uninitialized(out, trap->frames.size());
  for (size_t i = 0; i < out->size; ++i) {
    out->data[i] = wasmd::engine::NewFrame(*trap, trap->frames[i]);
  }
}

}  // extern "C"
