#include "tests/support/channel_under_test.h"

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "daemon/channel/channel.h"
#include "engine/api/engine.h"
#include "engine/base/check.h"
#include "proto/ring/layout.h"
#include "tests/support/channel_harness.h"

namespace wasmd::tests {
namespace {

// "calls" counts what is called, but for cabi_realloc. echo puts address and size of its input at
// the memory's start; inputs lie from 1024 on.
constexpr std::string_view kModule = R"((module
  (memory (export "memory") 1)
  (global $calls (export "calls") (mut i32) (i32.const 0))
  (global $count (mut i32) (i32.const 0))
  (func $enter (global.set $calls (i32.add (global.get $calls) (i32.const 1))))
  (func (export "add") (param i32 i32) (result i32)
    (call $enter) (i32.add (local.get 0) (local.get 1)))
  (func (export "i64") (param i64) (result i64) (call $enter) (local.get 0))
  (func (export "f32") (param f32) (result f32) (call $enter) (local.get 0))
  (func (export "f64") (param f64) (result f64) (call $enter) (local.get 0))
  (func (export "v128") (param v128) (result v128) (call $enter) (local.get 0))
  (func (export "many") (param i32 i64 i64 v128 f32) (result f32 v128 i64 i64 i32)
    (call $enter)
    (local.get 4) (local.get 3) (local.get 2) (local.get 1) (local.get 0))
  (func (export "trap") (call $enter) unreachable)
  (func (export "peek") (param i32) (result i32) (call $enter) (i32.load (local.get 0)))
  (func (export "count") (result i32)
    (call $enter)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.get $count))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
  (func (export "echo") (param i32 i32) (result i32)
    (call $enter)
    (i32.store (i32.const 0) (local.get 0))
    (i32.store (i32.const 4) (local.get 1))
    (i32.const 0))))";

// One engine and one module for the process. Never destroyed.
HarnessEngine& TestEngine() {
  static HarnessEngine& engine = *new HarnessEngine;
  return engine;
}

const std::shared_ptr<engine::LoadedModule>& TestModule() {
  static const std::shared_ptr<engine::LoadedModule>& module =
      *new std::shared_ptr<engine::LoadedModule>(TestEngine().Load(kModule));
  return module;
}

}  // namespace

ChannelUnderTest::ChannelUnderTest(const ring::Geometry& geometry)
    : kept_(TestEngine().Keep(TestModule())), harness_(TestEngine(), nullptr, geometry) {
  Guard(geometry);
  const auto check = [](uint32_t number, Func func) { WASMD_CHECK(number == func); };
  check(harness_.Bind(kept_, "add"), kAdd);
  check(harness_.Bind(kept_, "i64"), kI64);
  check(harness_.Bind(kept_, "f32"), kF32);
  check(harness_.Bind(kept_, "f64"), kF64);
  check(harness_.Bind(kept_, "v128"), kV128);
  check(harness_.Bind(kept_, "many"), kMany);
  check(harness_.Bind(kept_, "trap"), kTrap);
  check(harness_.Bind(kept_, "peek"), kOutOfBounds);
  check(harness_.Bind(kept_, "count"), kCount);
  check(harness_.BindFresh(TestModule(), "count"), kFreshCount);
  check(harness_.Bind(kept_, "echo", true), kEcho);
}

ChannelUnderTest::~ChannelUnderTest() {
  for (void* const guard : guards_) {
    ::munmap(guard, ring::kHeaderBytes);
  }
}

// Where another mapping is beside it already, that one serves, or there is no guard.
void ChannelUnderTest::Guard(const ring::Geometry& geometry) {
  auto* const base = reinterpret_cast<std::byte*>(&view().header());
  for (std::byte* const at : {base - ring::kHeaderBytes, base + geometry.segment_bytes()}) {
    void* const guard =
        ::mmap(at, ring::kHeaderBytes, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (guard != MAP_FAILED) {
      guards_.push_back(guard);
    }
  }
}

void ChannelUnderTest::Visit(uint32_t budget) {
  visit_.Begin(&channel());
  static_cast<void>(channel().Visit(visit_, budget));
  static_cast<void>(visit_.End());
}

uint32_t ChannelUnderTest::guest_calls() const {
  const std::optional<engine::Extern> found = kept_->instance->FindExport("calls");
  WASMD_CHECK(found.has_value());
  return static_cast<uint32_t>(std::get<engine::GlobalHandle>(*found).Get().bits);
}

}  // namespace wasmd::tests
