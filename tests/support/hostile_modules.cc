#include "tests/support/hostile_modules.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace wasmd::engine {
namespace {

constexpr uint8_t kI32 = 0x7f;
constexpr uint8_t kF32 = 0x7d;
// Headers, sizes and the fixed parts of a case.
constexpr size_t kSpare = 4096;

size_t Times(size_t size_bytes, size_t unit_bytes) {
  return size_bytes <= kSpare ? 1 : (size_bytes - kSpare) / unit_bytes;
}

Bytes Repeat(const Bytes& bytes, size_t count) {
  Bytes all;
  all.reserve(bytes.size() * count);
  for (size_t i = 0; i < count; ++i) {
    Append(all, bytes);
  }
  return all;
}

// A vector of `count` times the same.
Bytes VecOf(const Bytes& element, size_t count) {
  return Concat({Leb(count), Repeat(element, count)});
}

Bytes Group(uint32_t count, uint8_t type) {
  return Concat({Leb(count), {type}});
}

Bytes Many(size_t count, uint8_t type) {
  return Bytes(count, type);
}

// `count` functions of type 0 with the same body.
Bytes SameFunctions(const std::vector<Bytes>& types, const Bytes& body, size_t count) {
  return WasmModule({
      Section(1, Vec(types)),
      Section(3, VecOf({0x00}, count)),
      Section(4, Vec({{0x70, 0x00, 0x01}})),
      Section(5, Vec({{0x00, 0x01}})),
      Section(10, VecOf(body, count)),
  });
}

// One function of types[0], the rest of the module around it.
Bytes OneBody(const std::vector<Bytes>& types, const std::vector<Bytes>& groups,
              const Bytes& code) {
  return SameFunctions(types, Body(groups, code), 1);
}

// --- Functions and their locals.

Bytes TinyFunctions(size_t size) {
  const Bytes body = Body({}, {0x0b});
  return SameFunctions({FuncTypeBytes({}, {})}, body, Times(size, body.size() + 1));
}

Bytes ManyLocalsEach(size_t size) {
  const Bytes body = Body({Group(50'000, kI32)}, {0x0b});
  return SameFunctions({FuncTypeBytes({}, {})}, body, Times(size, body.size() + 1));
}

Bytes ManyLocalsLastUsed(size_t size) {
  const Bytes body = Body({Group(50'000, kI32)}, Concat({{0x20}, Leb(49'999), {0x1a, 0x0b}}));
  return SameFunctions({FuncTypeBytes({}, {})}, body, Times(size, body.size() + 1));
}

Bytes ManyParamsEach(size_t size) {
  const Bytes body = Body({}, Concat({{0x20}, Leb(999), {0x1a, 0x0b}}));
  return SameFunctions({FuncTypeBytes(Many(1'000, kI32), {})}, body, Times(size, body.size() + 1));
}

Bytes ManyLocalGroups(size_t size) {
  const size_t groups = Times(size, 2);
  const Bytes body = Sized(Concat({Leb(groups), Repeat({0x00, kI32}, groups), {0x0b}}));
  return SameFunctions({FuncTypeBytes({}, {})}, body, 1);
}

// Every local is used, and branches carry all of them.
Bytes LocalsTimesBranches(size_t size) {
  const uint32_t locals = 49'000;
  Bytes code;
  for (uint32_t i = 0; code.size() + kSpare < size; ++i) {
    Append(code, Concat({{0x02, 0x40, 0x20},
                         Leb(i * 7919 % locals),
                         {0x0d, 0x00, 0x41, 0x00, 0x21},
                         Leb((i * 7919 + 13) % locals),
                         {0x0b}}));
  }
  code.push_back(0x0b);
  return OneBody({FuncTypeBytes({}, {})}, {Group(locals, kI32)}, code);
}

// Liveness of many locals over arms of one byte each.
Bytes LocalsTimesArms(size_t size) {
  Bytes code = Repeat({0x02, 0x40}, 120);
  for (uint32_t i = 0; i < 5'000; ++i) {
    Append(code, Concat({{0x20}, Leb(i), {0x1a}}));
  }
  Bytes arms = Leb(120);
  for (uint8_t i = 0; i < 120; ++i) {
    arms.push_back(i);
  }
  arms.push_back(0x00);
  const Bytes unit = Concat({{0x02, 0x40, 0x20, 0x00, 0x0e}, arms, {0x0b}});
  while (code.size() + unit.size() + kSpare < size) {
    Append(code, unit);
  }
  Append(code, Repeat({0x0b}, 121));
  return OneBody({FuncTypeBytes({}, {})}, {Group(5'000, kI32)}, code);
}

// --- Control.

Bytes DeepBlocks(size_t size) {
  const size_t depth = std::min<size_t>(Times(size, 3), 490'000);
  return OneBody({FuncTypeBytes({}, {})}, {},
                 Concat({Repeat({0x02, 0x40}, depth), Repeat({0x0b}, depth + 1)}));
}

Bytes DeepLoops(size_t size) {
  const size_t depth = Times(size, 3);
  return OneBody({FuncTypeBytes({}, {})}, {},
                 Concat({Repeat({0x03, 0x40}, depth), Repeat({0x0b}, depth + 1)}));
}

Bytes DeepIfs(size_t size) {
  const size_t depth = Times(size, 5);
  return OneBody({FuncTypeBytes({kI32}, {})}, {},
                 Concat({Repeat({0x20, 0x00, 0x04, 0x40}, depth), Repeat({0x0b}, depth + 1)}));
}

// Each level has all the hot locals that a loop can have.
Bytes DeepHotLoops(size_t size) {
  Bytes use;
  for (uint8_t i = 0; i < 24; ++i) {
    Append(use, {0x20, i, 0x21, i});
  }
  const size_t depth = Times(size - use.size(), 3);
  return OneBody({FuncTypeBytes({}, {})}, {Group(12, kI32), Group(12, kF32)},
                 Concat({Repeat({0x03, 0x40}, depth), use, Repeat({0x0b}, depth + 1)}));
}

// Each block has a type of a thousand results, which only its end sees.
Bytes DeepBlocksWithResults(size_t size) {
  const size_t depth = Times(size, 3);
  return OneBody(
      {FuncTypeBytes({}, {}), FuncTypeBytes({}, Many(1'000, kI32))}, {},
      Concat({Repeat({0x02, 0x01}, depth), {0x00}, Repeat({0x0b}, depth), {0x00, 0x0b}}));
}

Bytes BlocksOverResults(size_t size) {
  const Bytes block = {0x02, 0x01, 0x20, 0x00, 0x0d, 0x00, 0x0b};
  return OneBody({FuncTypeBytes({kI32}, {}), FuncTypeBytes(Many(999, kI32), Many(999, kI32))}, {},
                 Concat({Repeat({0x41, 0x00}, 999),
                         Repeat(block, Times(size - 2'000, block.size())),
                         {0x0f, 0x0b}}));
}

Bytes BranchesOverResults(size_t size) {
  const Bytes branch = {0x20, 0x00, 0x0d, 0x00};
  return OneBody({FuncTypeBytes({kI32}, {}), FuncTypeBytes({}, Many(999, kI32))}, {},
                 Concat({{0x02, 0x01},
                         Repeat({0x41, 0x00}, 999),
                         Repeat(branch, Times(size - 2'000, branch.size())),
                         {0x0b, 0x0f, 0x0b}}));
}

Bytes OneBranchTable(size_t size) {
  const size_t arms = std::min<size_t>(Times(size, 1), 500'000);
  return OneBody(
      {FuncTypeBytes({kI32}, {})}, {},
      Concat({{0x02, 0x40, 0x20, 0x00, 0x0e}, Leb(arms), Many(arms, 0x00), {0x00, 0x0b, 0x0b}}));
}

// Arms that all go to other labels, each of which wants every register loaded again.
Bytes ArmsTimesRegisters(size_t size) {
  Bytes code = Repeat({0x02, 0x40}, 120);
  Bytes arms = Leb(120);
  for (uint8_t i = 0; i < 120; ++i) {
    arms.push_back(i);
  }
  arms.push_back(0x00);
  const Bytes table = Concat({{0x20, 0x00, 0x0e}, arms, {0x0b}});
  code.insert(code.end(), {0x02, 0x40});
  for (uint8_t i = 1; i < 24; ++i) {
    Append(code,
           i < 12 ? Bytes{0x20, 0x00, 0x41, i, 0x6a, 0x21, i} : Bytes{0x20, 0x00, 0xb2, 0x21, i});
  }
  Append(code, table);
  while (code.size() + 2 * kSpare + 10'000 < size) {
    Append(code, Concat({{0x02, 0x40, 0x20, 0x00, 0x10, 0x00}, table}));
  }
  for (int i = 0; i < 120; ++i) {
    code.push_back(0x0b);
    for (uint8_t local = 1; local < 24; ++local) {
      Append(code, {0x20, local, 0x1a});
    }
  }
  code.push_back(0x0b);
  return OneBody({FuncTypeBytes({kI32}, {})}, {Group(11, kI32), Group(12, kF32)}, code);
}

// Arms that each carry a thousand results.
Bytes ArmsTimesResults(size_t size) {
  const size_t depth = 100;
  Bytes arms = Leb(depth);
  for (uint8_t i = 0; i < depth; ++i) {
    arms.push_back(i);
  }
  arms.push_back(0x00);
  Bytes code = Repeat({0x02, 0x01}, depth);
  Append(code, Repeat({0x41, 0x00}, 999));
  // A table ends the code that is reachable: a conditional block around each.
  const Bytes with_params = Concat({{0x20, 0x00, 0x04, 0x02, 0x20, 0x00, 0x0e}, arms, {0x0b}});
  while (code.size() + with_params.size() + kSpare < size) {
    Append(code, with_params);
  }
  Append(code, Repeat({0x0b}, depth));
  Append(code, {0x0f, 0x0b});
  return OneBody({FuncTypeBytes({kI32}, {}), FuncTypeBytes({}, Many(999, kI32)),
                  FuncTypeBytes(Many(999, kI32), Many(999, kI32))},
                 {}, code);
}

// --- Calls.

Bytes CallsOfManyParams(size_t size) {
  Bytes code;
  // Its own results are its arguments: two bytes of code move a thousand values out and back.
  for (uint32_t i = 0; i < 1'000; ++i) {
    Append(code, {0x41, 0x00});
  }
  Append(code, Repeat({0x10, 0x00}, Times(size - 4'000, 2)));
  code.push_back(0x0b);
  return OneBody({FuncTypeBytes(Many(1'000, kI32), Many(1'000, kI32))}, {}, code);
}

Bytes UnreachableCalls(size_t size) {
  return OneBody({FuncTypeBytes(Many(1'000, kI32), {})}, {},
                 Concat({{0x00}, Repeat({0x10, 0x00}, Times(size, 2)), {0x0b}}));
}

// A value of any type below a thousand others, compared at each arm.
Bytes UnreachableArms(size_t size) {
  Bytes arms;
  const size_t count = 400'000;
  for (size_t i = 0; i < std::min(Times(size - 4'000, 1), count); ++i) {
    arms.push_back(i % 2 == 0 ? 0x00 : 0x01);
  }
  return OneBody({FuncTypeBytes({}, {}), FuncTypeBytes({}, Many(1'000, kI32)),
                  FuncTypeBytes({}, Many(1'000, kI32))},
                 {},
                 Concat({{0x02, 0x01, 0x02, 0x02, 0x00, 0x1b},
                         Repeat({0x41, 0x00}, 1'000),
                         {0x0e},
                         Leb(arms.size()),
                         arms,
                         {0x00, 0x0b, 0x0b, 0x00, 0x0b}}));
}

// --- Operands and registers.

Bytes DeepOperands(size_t size) {
  const size_t count = Times(size, 3);
  return OneBody({FuncTypeBytes({kI32}, {})}, {},
                 Concat({Repeat({0x20, 0x00}, count), Repeat({0x1a}, count), {0x0b}}));
}

Bytes BlocksOverOperands(size_t size) {
  const Bytes unit = {0x20, 0x00, 0x45, 0x02, 0x40, 0x0b};
  const size_t count = Times(size, unit.size() + 1);
  return OneBody({FuncTypeBytes({kI32}, {})}, {},
                 Concat({Repeat(unit, count), Repeat({0x1a}, count), {0x0b}}));
}

// A register that a hundred thousand operands share is wanted by one instruction after the other.
Bytes SharedRegister(size_t size) {
  const size_t entries = Times(size / 2, 3);
  // Division wants rax and rdx, where parameter 1 is, and which it leaves to its last use; rotation
  // wants rcx.
  const Bytes unit = {0x20, 0x00, 0x20, 0x03, 0x6d, 0x1a, 0x20, 0x00, 0x20, 0x03, 0x77, 0x1a};
  return OneBody({FuncTypeBytes({kI32, kI32, kI32, kI32}, {})}, {},
                 Concat({Repeat({0x20, 0x01}, entries),
                         Repeat(unit, Times(size / 2, unit.size())),
                         Repeat({0x1a}, entries),
                         {0x0b}}));
}

Bytes SpillsAtEveryCall(size_t size) {
  Bytes unit;
  for (uint8_t i = 0; i < 10; ++i) {
    Append(unit, {0x20, i, 0x41, 0x01, 0x6a, 0x21, i});
  }
  Append(unit, {0x10, 0x00});
  return OneBody({FuncTypeBytes({}, {})}, {Group(10, kI32)},
                 Concat({Repeat(unit, Times(size, unit.size())), {0x0b}}));
}

Bytes SelectChain(size_t size) {
  const Bytes unit = {0x20, 0x00, 0x20, 0x01, 0x1b};
  return OneBody({FuncTypeBytes({kI32, kI32}, {kI32})}, {},
                 Concat({{0x20, 0x00}, Repeat(unit, Times(size, unit.size())), {0x0b}}));
}

// The instructions of one byte with the most code and cold code.
Bytes DearConversions(size_t size) {
  return OneBody({FuncTypeBytes({0x7e}, {0x7e})}, {},
                 Concat({{0x20, 0x00}, Repeat({0xb5, 0xaf}, Times(size, 2)), {0x0b}}));
}

Bytes Divisions(size_t size) {
  const Bytes unit = {0x20, 0x00, 0x7f};
  return OneBody({FuncTypeBytes({0x7e}, {0x7e})}, {},
                 Concat({{0x20, 0x00}, Repeat(unit, Times(size, unit.size())), {0x0b}}));
}

// Just below the limit on what code becomes.
Bytes DearConversionsAllowed(size_t size) {
  return OneBody({FuncTypeBytes({0x7e}, {0x7e})}, {},
                 Concat({{0x20, 0x00}, Repeat({0xb5, 0xaf, 0x01}, Times(size, 3)), {0x0b}}));
}

// Each function is just below its own limit.
Bytes DearFunctions(size_t size) {
  const Bytes body = Body({}, Concat({Repeat({0x10, 0x00}, 40), {0x00, 0x0b}}));
  const size_t count = Times(size, body.size() + 1);
  const Bytes first = Body({}, {0x00, 0x0b});
  return WasmModule({
      Section(1, Vec({FuncTypeBytes({}, Many(1'000, kI32)), FuncTypeBytes({}, {})})),
      Section(3, Concat({Leb(count + 1), {0x00}, Repeat({0x01}, count)})),
      Section(10, Concat({Leb(count + 1), first, Repeat(body, count)})),
  });
}

// Constants that all differ, two to an addition.
Bytes ManyConstants(size_t size) {
  Bytes code;
  for (uint64_t i = 0; code.size() + kSpare < size; ++i) {
    code.push_back(0x44);
    for (unsigned shift = 0; shift < 64; shift += 8) {
      code.push_back(static_cast<uint8_t>((i * 0x9e37'79b9'7f4a'7c15) >> shift));
    }
    if (i % 2 == 1) {
      Append(code, {0xa0, 0x1a});
    }
  }
  Append(code, {0x0f, 0x0b});
  return OneBody({FuncTypeBytes({}, {})}, {}, code);
}

Bytes ManyAccesses(size_t size) {
  const Bytes unit = {0x28, 0x00, 0x00};
  return OneBody({FuncTypeBytes({kI32}, {kI32})}, {},
                 Concat({{0x20, 0x00}, Repeat(unit, Times(size, unit.size())), {0x0b}}));
}

Bytes VectorConversions(size_t size) {
  const Bytes unit = {0xfd, 0xf9, 0x01, 0xfd, 0xfb, 0x01};
  return OneBody({FuncTypeBytes({0x7b}, {0x7b})}, {},
                 Concat({{0x20, 0x00}, Repeat(unit, Times(size, unit.size())), {0x0b}}));
}

// --- Exceptions.

Bytes DeepTries(size_t size) {
  const size_t depth = Times(size, 6);
  return OneBody({FuncTypeBytes({}, {})}, {},
                 Concat({Repeat({0x1f, 0x40, 0x01, 0x02, 0x00}, depth),
                         {0x10, 0x00},
                         Repeat({0x0b}, depth + 1)}));
}

// Each clause of three bytes hands on a thousand values.
Bytes ClausesTimesValues(size_t size) {
  const size_t count = Times(size - 2'000, 3);
  const Bytes code = Concat({{0x02, 0x01, 0x1f, 0x40},
                             VecOf({0x00, 0x00, 0x00}, count),
                             {0x10, 0x00, 0x0b, 0x00, 0x0b, 0x00, 0x0b}});
  return WasmModule({
      Section(1, Vec({FuncTypeBytes({}, {}), FuncTypeBytes({}, Many(999, kI32)),
                      FuncTypeBytes(Many(999, kI32), {})})),
      Section(3, Vec({{0x00}})),
      Section(13, Vec({{0x00, 0x02}})),
      Section(10, Vec({Body({}, code)})),
  });
}

// --- Everything but code.

Bytes EmptyTypes(size_t size) {
  return WasmModule({Section(1, VecOf({0x60, 0x00, 0x00}, Times(size, 3)))});
}

Bytes DistinctTypes(size_t size) {
  static constexpr uint8_t kTypes[] = {0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f};
  Bytes types;
  size_t count = 0;
  for (; types.size() + kSpare < size; ++count) {
    Bytes params;
    for (size_t rest = count; params.size() < 7; rest /= std::size(kTypes)) {
      params.push_back(kTypes[rest % std::size(kTypes)]);
    }
    Append(types, FuncTypeBytes(params, {}));
  }
  return WasmModule({Section(1, Concat({Leb(count), types}))});
}

Bytes Imports(size_t size) {
  return WasmModule({Section(1, Vec({FuncTypeBytes({}, {})})),
                     Section(2, VecOf({0x00, 0x00, 0x00, 0x00}, Times(size, 4)))});
}

Bytes Exports(size_t size) {
  Bytes exports;
  size_t count = 0;
  for (; exports.size() + kSpare < size; ++count) {
    Append(exports, {0x03, static_cast<uint8_t>('0' + count % 64),
                     static_cast<uint8_t>('0' + count / 64 % 64),
                     static_cast<uint8_t>('0' + count / 4096 % 64), 0x00, 0x00});
  }
  return WasmModule({Section(1, Vec({FuncTypeBytes({}, {})})), Section(3, Vec({{0x00}})),
                     Section(7, Concat({Leb(count), exports})),
                     Section(10, Vec({Body({}, {0x0b})}))});
}

Bytes Globals(size_t size) {
  return WasmModule({Section(6, VecOf({0x7f, 0x00, 0x41, 0x00, 0x0b}, Times(size, 5)))});
}

Bytes Tables(size_t size) {
  return WasmModule(
      {Section(4, VecOf({0x70, 0x00, 0x00}, std::min<size_t>(Times(size, 3), 100'000)))});
}

Bytes ElementSegments(size_t size) {
  return WasmModule({Section(9, VecOf({0x01, 0x00, 0x00}, Times(size, 3)))});
}

Bytes Elements(size_t size) {
  const size_t count = Times(size, 1);
  return WasmModule({Section(1, Vec({FuncTypeBytes({}, {})})), Section(3, Vec({{0x00}})),
                     Section(9, Vec({Concat({{0x01, 0x00}, VecOf({0x00}, count)})})),
                     Section(10, Vec({Body({}, {0x0b})}))});
}

Bytes DataSegments(size_t size) {
  return WasmModule({Section(11, VecOf({0x01, 0x00}, std::min<size_t>(Times(size, 2), 100'000)))});
}

Bytes CustomSections(size_t size) {
  return WasmModule({Repeat({0x00, 0x01, 0x00}, Times(size, 3))});
}

Bytes FunctionNames(size_t size) {
  const size_t count = Times(size, 12);
  Bytes names;
  for (size_t i = 0; i < count; ++i) {
    Append(names, Concat({Leb(i, 3), {0x00}}));
  }
  return WasmModule(
      {Section(1, Vec({FuncTypeBytes({}, {})})), Section(3, VecOf({0x00}, count)),
       Section(10, VecOf(Body({}, {0x0b}), count)),
       CustomSectionBytes("name", Concat({{0x01}, Sized(Concat({Leb(count), names}))}))});
}

constexpr HostileCase kCases[] = {
    {"tiny_functions", TinyFunctions},
    {"many_locals_each", ManyLocalsEach},
    {"many_locals_last_used", ManyLocalsLastUsed},
    {"many_params_each", ManyParamsEach},
    {"many_local_groups", ManyLocalGroups},
    {"locals_times_branches", LocalsTimesBranches},
    {"locals_times_arms", LocalsTimesArms},
    {"deep_blocks", DeepBlocks},
    {"deep_loops", DeepLoops},
    {"deep_ifs", DeepIfs},
    {"deep_hot_loops", DeepHotLoops},
    {"deep_blocks_with_results", DeepBlocksWithResults},
    {"blocks_over_results", BlocksOverResults},
    {"branches_over_results", BranchesOverResults},
    {"one_branch_table", OneBranchTable},
    {"arms_times_registers", ArmsTimesRegisters},
    {"arms_times_results", ArmsTimesResults},
    {"calls_of_many_params", CallsOfManyParams},
    {"unreachable_calls", UnreachableCalls},
    {"unreachable_arms", UnreachableArms},
    {"deep_operands", DeepOperands},
    {"blocks_over_operands", BlocksOverOperands},
    {"shared_register", SharedRegister},
    {"spills_at_every_call", SpillsAtEveryCall},
    {"select_chain", SelectChain},
    {"dear_conversions", DearConversions},
    {"dear_conversions_allowed", DearConversionsAllowed},
    {"dear_functions", DearFunctions},
    {"divisions", Divisions},
    {"many_constants", ManyConstants},
    {"many_accesses", ManyAccesses},
    {"vector_conversions", VectorConversions},
    {"deep_tries", DeepTries},
    {"clauses_times_values", ClausesTimesValues},
    {"empty_types", EmptyTypes},
    {"distinct_types", DistinctTypes},
    {"imports", Imports},
    {"exports", Exports},
    {"globals", Globals},
    {"tables", Tables},
    {"element_segments", ElementSegments},
    {"elements", Elements},
    {"data_segments", DataSegments},
    {"custom_sections", CustomSections},
    {"function_names", FunctionNames},
};

}  // namespace

std::span<const HostileCase> HostileCases() {
  return kCases;
}

}  // namespace wasmd::engine
