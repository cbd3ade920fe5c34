// Exceptions: what catches and what does not, across calls, instances and host functions; what an
// exception carries, and what its handler finds of the frame; and that memory stays bounded.
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "tests/support/test_instance.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

using testing::ElementsAre;

// --- Modules, put together by hand: the assembler of the tests does not know try_table.

constexpr uint8_t kI32 = 0x7f;
constexpr uint8_t kI64 = 0x7e;
constexpr uint8_t kF64 = 0x7c;
constexpr uint8_t kV128 = 0x7b;
constexpr uint8_t kExn = 0x69;
constexpr uint8_t kVoid = 0x40;

constexpr uint8_t kEnd = 0x0b;
constexpr uint8_t kUnreachable = 0x00;
constexpr uint8_t kThrowRef = 0x0a;
constexpr uint8_t kReturn = 0x0f;
constexpr uint8_t kDrop = 0x1a;
constexpr uint8_t kAdd = 0x6a;
constexpr uint8_t kSub = 0x6b;

Bytes I32Const(int32_t value) {
  return Concat({{0x41}, SignedLeb(value)});
}
Bytes Get(uint8_t local) {
  return {0x20, local};
}
Bytes Set(uint8_t local) {
  return {0x21, local};
}
Bytes GlobalGet(uint8_t global) {
  return {0x23, global};
}
Bytes GlobalSet(uint8_t global) {
  return {0x24, global};
}
Bytes Call(uint8_t func) {
  return {0x10, func};
}
Bytes Br(uint8_t depth) {
  return {0x0c, depth};
}
Bytes BrIf(uint8_t depth) {
  return {0x0d, depth};
}
Bytes Throw(uint8_t tag) {
  return {0x08, tag};
}
Bytes Block(uint8_t type, const Bytes& body) {
  return Concat({{0x02, type}, body, {kEnd}});
}
Bytes Loop(uint8_t type, const Bytes& body) {
  return Concat({{0x03, type}, body, {kEnd}});
}
Bytes If(const Bytes& body) {
  return Concat({{0x04, kVoid}, body, {kEnd}});
}
// Labels count from the block around.
Bytes Catch(uint8_t tag, uint8_t label) {
  return {0x00, tag, label};
}
Bytes CatchRef(uint8_t tag, uint8_t label) {
  return {0x01, tag, label};
}
Bytes CatchAll(uint8_t label) {
  return {0x02, label};
}
Bytes CatchAllRef(uint8_t label) {
  return {0x03, label};
}
Bytes TryTable(uint8_t type, const std::vector<Bytes>& clauses, const Bytes& body) {
  return Concat({{0x1f, type}, Vec(clauses), body, {kEnd}});
}

struct TestFunc {
  std::string name;  // Of the export, unless it is empty.
  Bytes params;
  Bytes results;
  Bytes code;                      // Without the last `end`.
  std::vector<Bytes> locals = {};  // Each a count and a type.
};

struct TestModule {
  std::vector<Bytes> tags;  // Parameters of each. Type i is tag i's.
  std::vector<TestFunc> funcs;
  std::vector<std::pair<Bytes, Bytes>> imports = {};  // "host" "0", "1" … : functions.
  size_t imported_tags = 0;                           // Of `tags`, from "tags".
  std::vector<Bytes> globals = {};                    // Encoded.

  Bytes Encode() const {
    std::vector<Bytes> types;
    std::vector<Bytes> encoded_imports;
    std::vector<Bytes> own_tags;
    std::vector<Bytes> exports;
    for (size_t i = 0; i < tags.size(); ++i) {
      types.push_back(FuncTypeBytes(tags[i], {}));
      const Bytes tag = Concat({{0x00}, Leb(i)});
      const Bytes name = NameBytes("tag" + std::to_string(i));
      if (i < imported_tags) {
        encoded_imports.push_back(Concat({NameBytes("tags"), name, {0x04}, tag}));
      } else {
        own_tags.push_back(tag);
      }
      exports.push_back(Concat({name, {0x04}, Leb(i)}));
    }
    for (size_t i = 0; i < imports.size(); ++i) {
      encoded_imports.push_back(
          Concat({NameBytes("host"), NameBytes(std::to_string(i)), {0x00}, Leb(types.size())}));
      types.push_back(FuncTypeBytes(imports[i].first, imports[i].second));
    }
    std::vector<Bytes> declared;
    std::vector<Bytes> bodies;
    for (size_t i = 0; i < funcs.size(); ++i) {
      declared.push_back(Leb(types.size()));
      types.push_back(FuncTypeBytes(funcs[i].params, funcs[i].results));
      bodies.push_back(Body(funcs[i].locals, Concat({funcs[i].code, {kEnd}})));
      if (!funcs[i].name.empty()) {
        exports.push_back(Concat({NameBytes(funcs[i].name), {0x00}, Leb(imports.size() + i)}));
      }
    }
    return WasmModule({Section(1, Vec(types)), Section(2, Vec(encoded_imports)),
                       Section(3, Vec(declared)), Section(13, Vec(own_tags)),
                       Section(6, Vec(globals)), Section(7, Vec(exports)),
                       Section(10, Vec(bodies))});
  }
};

std::shared_ptr<LoadedModule> Load(const TestModule& module,
                                   CompileMode mode = CompileMode::kLazy) {
  const Bytes bytes = module.Encode();
  const auto span = AsBytes(bytes);
  LoadOptions options;
  options.mode = mode;
  auto loaded = TestEngine().Load(std::vector<std::byte>(span.begin(), span.end()), options);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return *std::move(loaded);
}

const Exception* ExceptionOf(const Invoked& invoked) {
  return invoked.stop == nullptr ? nullptr : std::get_if<Exception>(invoked.stop.get());
}

class ExceptionTest : public testing::TestWithParam<CompileMode> {
 protected:
  TestInstance Make(const TestModule& module, const TestInstanceOptions& options = {}) {
    return TestInstance(Load(module, GetParam()), options);
  }
};
INSTANTIATE_TEST_SUITE_P(Modes, ExceptionTest,
                         testing::Values(CompileMode::kLazy, CompileMode::kEager),
                         [](const auto& mode) {
                           return mode.param == CompileMode::kLazy ? "Lazy" : "Eager";
                         });

// catch, catch_all, and the order of clauses; tags 0 (i32), 1 (), 2 (i32).
TEST_P(ExceptionTest, TheFirstClauseThatMatchesCatches) {
  const Bytes throws = Concat({Get(0), If(Concat({Get(0),
                                                  I32Const(1),
                                                  {0x46},
                                                  If(Concat({I32Const(11), Throw(0)})),
                                                  Get(0),
                                                  I32Const(2),
                                                  {0x46},
                                                  If(Throw(1)),
                                                  I32Const(33),
                                                  Throw(2)}))});
  TestInstance instance = Make({
      .tags = {{kI32}, {}, {kI32}},
      .funcs = {{"throws", {kI32}, {}, throws},
                {"run",
                 {kI32},
                 {kI32},
                 Concat(
                     {Block(kI32, Concat({Block(kVoid,
                                                Concat({TryTable(kVoid, {Catch(0, 1), CatchAll(0)},
                                                                 Concat({Get(0), Call(0)})),
                                                        I32Const(7),
                                                        {kReturn}})),
                                          I32Const(-1),
                                          {kReturn}})),
                      I32Const(100),
                      {kAdd}})}},
  });
  EXPECT_THAT(instance.Invoke("run", {Value::I32(0)}), Returns({Value::I32(7)}));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(1)}), Returns({Value::I32(111)}));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(2)}), Returns({Value::I32(-1)}));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(3)}), Returns({Value::I32(-1)}))
      << "tags of one type are still two";
}

TEST_P(ExceptionTest, AnUncaughtOneIsAnOutcomeWithTagValuesAndBacktrace) {
  TestInstance instance = Make({
      .tags = {{kI32, kI64, kF64}},
      .funcs =
          {{"", {kI32}, {}, Concat({Get(0), {0x42}, SignedLeb(-5), {0x44}, Bytes(8, 0), Throw(0)})},
           {"run", {kI32}, {}, Concat({Get(0), Call(0)})}},
  });
  const Invoked invoked = instance.Invoke("run", {Value::I32(9)});
  const Exception* const exception = ExceptionOf(invoked);
  ASSERT_NE(exception, nullptr);
  EXPECT_TRUE(exception->tag == *instance.instance().Tag("tag0"));
  EXPECT_THAT(exception->values,
              ElementsAre(Value::I32(9), Value::I64(int64_t{-5}), Value::F64(0)));
  ASSERT_EQ(exception->backtrace.frames().size(), 2u);
  EXPECT_EQ(exception->backtrace.frames()[0].func_index, 0u);
  EXPECT_EQ(exception->backtrace.frames()[1].func_name, "run");
  EXPECT_EQ(ToString(*invoked.stop),
            "uncaught exception (i32:9, i64:-5, f64:0 (0x0000000000000000))");
  EXPECT_NE(ExceptionOf(instance.Invoke("run", {Value::I32(1)})), nullptr) << "it goes on working";
}

// A local that is written before and between the calls of a body, and read by the handler alone:
// what the handler sees is the value at the call that threw.
TEST_P(ExceptionTest, HandlersSeeTheLocalsOfTheCall) {
  const auto thrower =
      TestFunc{"", {kI32, kI32}, {}, Concat({Get(0), Get(1), {0x46}, If(Throw(0))})};
  TestInstance instance = Make({
      .tags = {{}},
      .funcs = {thrower,
                {"run",
                 {kI32},
                 {kI64},
                 Concat({Block(kVoid, Concat({TryTable(kVoid, {CatchAll(0)},
                                                       Concat({{0x42},
                                                               SignedLeb(10),
                                                               Set(1),
                                                               Get(0),
                                                               I32Const(1),
                                                               Call(0),
                                                               {0x42},
                                                               SignedLeb(20),
                                                               Set(1),
                                                               Get(0),
                                                               I32Const(2),
                                                               Call(0),
                                                               {0x42},
                                                               SignedLeb(30),
                                                               Set(1),
                                                               Get(0),
                                                               I32Const(3),
                                                               Call(0)})),
                                              {0x42},
                                              SignedLeb(40),
                                              Set(1)})),
                         Get(1)}),
                 {{0x01, kI64}}}},
  });
  for (int i = 1; i <= 4; ++i) {
    EXPECT_THAT(instance.Invoke("run", {Value::I32(i)}), Returns({Value::I64(int64_t{10 * i})}));
  }
}

// Values in more cells than there are registers, the label's own results, and operands below them.
TEST_P(ExceptionTest, HandlersFindOperandsAndAllValues) {
  Bytes params;
  Bytes operands;
  Bytes adds;
  for (int i = 0; i < 12; ++i) {
    params.push_back(kI32);
    Append(operands, Concat({Get(0), I32Const(i), {kAdd}}));
    adds.push_back(kAdd);
  }
  TestInstance instance = Make({
      .tags = {params, {kI32}},
      .funcs =
          {{"", {kI32}, {}, Concat({operands, Throw(0)})},
           // The label is the function's.
           {"",
            {kI32},
            params,
            Concat({TryTable(kVoid, {Catch(0, 0)}, Concat({Get(0), Call(0)})), {kUnreachable}})},
           {"all", {kI32}, {kI32}, Concat({I32Const(1000), Get(0), Call(1), adds})},
           {"below",
            {kI32},
            {kI32},
            Concat({Get(0),
                    I32Const(5),
                    {kAdd},
                    I32Const(100),
                    Block(kI32, Concat({TryTable(kVoid, {Catch(1, 0)}, Concat({Get(0), Throw(1)})),
                                        {kUnreachable}})),
                    {kSub, kSub}})}},
  });
  EXPECT_THAT(instance.Invoke("all", {Value::I32(3)}), Returns({Value::I32(1000 + 12 * 3 + 66)}));
  EXPECT_THAT(instance.Invoke("below", {Value::I32(3)}), Returns({Value::I32(8 - (100 - 3))}));
}

// The clause's label is a loop, which counts how often it was thrown to.
TEST_P(ExceptionTest, AHandlerMayBeALoop) {
  TestInstance instance = Make({
      .tags = {{}},
      .funcs = {{"", {kI32}, {}, Concat({Get(0), If(Throw(0))})},
                {"run",
                 {kI32},
                 {kI32},
                 Concat({Loop(kVoid, TryTable(kVoid, {CatchAll(0)},
                                              Concat({Get(1),
                                                      I32Const(1),
                                                      {kAdd},
                                                      Set(1),
                                                      Get(0),
                                                      Get(1),
                                                      {kSub},
                                                      Call(0)}))),
                         Get(1)}),
                 {{0x01, kI32}}}},
  });
  EXPECT_THAT(instance.Invoke("run", {Value::I32(1000)}), Returns({Value::I32(1000)}));
}

// catch_ref and throw_ref: the same exception goes on, with its values, past an inner handler.
TEST_P(ExceptionTest, AnExnrefIsThrownAgain) {
  const Bytes catch_and_throw_again = Concat(
      {Block(kExn,
             Concat({TryTable(kVoid, {CatchAllRef(0)}, Concat({Get(0), Call(0)})), {kReturn}})),
       Set(1),
       Get(1),
       {0xd1},
       If({kUnreachable}),
       Get(1),
       {kThrowRef}});
  TestInstance instance = Make({
      .tags = {{kI32}},
      .funcs = {{"", {kI32}, {}, Concat({Get(0), Throw(0)})},
                {"again", {kI32}, {}, catch_and_throw_again, {{0x01, kExn}}},
                {"run",
                 {kI32},
                 {kI32},
                 Concat(
                     {Block(kI32, Concat({TryTable(kVoid, {Catch(0, 0)}, Concat({Get(0), Call(1)})),
                                          {kUnreachable}})),
                      I32Const(1),
                      {kAdd}})},
                {"null", {}, {}, {0xd0, kExn, kThrowRef}},
                {"give",
                 {},
                 {kExn},
                 Concat({TryTable(kVoid, {CatchAllRef(0)}, Concat({I32Const(6), Call(0)})),
                         {kUnreachable}})},
                {"take", {kExn}, {}, Concat({Get(0), {kThrowRef}})},
                {"both",
                 {},
                 {kI32, kExn},
                 Concat({TryTable(kVoid, {CatchRef(0, 0)}, Concat({I32Const(8), Call(0)})),
                         {kUnreachable}})}},
  });
  const Invoked both = instance.Invoke("both");
  ASSERT_EQ(both.values.size(), 2u);
  EXPECT_EQ(both.values[0], Value::I32(8));
  EXPECT_EQ(instance.store().ExceptionOf(both.values[1])->values[0], Value::I32(8));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(41)}), Returns({Value::I32(42)}));
  const Invoked again = instance.Invoke("again", {Value::I32(5)});
  ASSERT_NE(ExceptionOf(again), nullptr);
  EXPECT_THAT(ExceptionOf(again)->values, ElementsAre(Value::I32(5)));
  EXPECT_THAT(instance.Invoke("null"), TrapsWith(TrapCode::kNullExceptionReference));

  const Invoked given = instance.Invoke("give");
  ASSERT_EQ(given.values.size(), 1u);
  const auto described = instance.store().ExceptionOf(given.values[0]);
  ASSERT_TRUE(described.ok()) << described.status();
  EXPECT_THAT(described->values, ElementsAre(Value::I32(6)));
  const Invoked taken = instance.Invoke("take", {given.values[0]});
  ASSERT_NE(ExceptionOf(taken), nullptr);
  EXPECT_THAT(ExceptionOf(taken)->values, ElementsAre(Value::I32(6)));
  EXPECT_FALSE(instance.store().ExceptionOf(Value::Null(ValType::kExnRef)).ok());
  // A word that is no exception of the store is found out where it is used.
  const Value wild{ValType::kExnRef, given.values[0].bits + 16};
  EXPECT_EQ(instance.store().ExceptionOf(wild).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(instance.Invoke("take", {wild}), TrapsWith(TrapCode::kHostError));
}

TEST_P(ExceptionTest, TrapsAndInterruptsAreNotCaught) {
  const auto caught = [](const Bytes& body) {
    return Block(kVoid, TryTable(kVoid, {CatchAll(0)}, body));
  };
  const TestModule module = {
      .tags = {{}},
      .funcs = {{"", {}, {}, {kUnreachable}},
                {"trap", {}, {}, caught(Call(0))},
                {"overflow", {}, {}, caught(Call(2))},
                {"spin", {}, {}, caught(Loop(kVoid, Concat({Call(4), Br(0)})))},
                {"", {}, {}, {}},
                // An endless loop of exceptions that are caught.
                {"throws",
                 {},
                 {},
                 Loop(kVoid,
                      Concat({Block(kVoid, TryTable(kVoid, {CatchAll(0)}, Throw(0))), Br(0)}))}},
  };
  TestInstance instance = Make(module);
  EXPECT_THAT(instance.Invoke("trap"), TrapsWith(TrapCode::kUnreachable));
  EXPECT_THAT(instance.Invoke("overflow"), TrapsWith(TrapCode::kStackOverflow));
  // The second loop's time goes by between throw and handler, where the signal finds no wasm.
  for (const std::string_view name : {"throws", "spin"}) {
    const InterruptHandle handle = instance.store().ArmInterrupt();
    std::thread interrupter([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      handle.Interrupt(InterruptReason::kDeadline);
    });
    const Invoked invoked = instance.Invoke(name);
    interrupter.join();
    EXPECT_THAT(invoked, InterruptedBy(InterruptReason::kDeadline)) << name;
    instance = Make(module);
  }
}

// The function has left its frame, and with it its handlers, when it makes a tail call.
TEST_P(ExceptionTest, ATailCallLeavesTheHandlers) {
  TestInstance instance = Make({
      .tags = {{}},
      .funcs = {{"", {}, {}, Throw(0)},
                {"run", {}, {}, TryTable(kVoid, {CatchAll(0)}, {0x12, 0x00})},
                {"outer",
                 {},
                 {kI32},
                 Concat({Block(kVoid, Concat({TryTable(kVoid, {CatchAll(0)}, Call(1)),
                                              I32Const(1),
                                              {kReturn}})),
                         I32Const(2)})}},
  });
  EXPECT_NE(ExceptionOf(instance.Invoke("run")), nullptr);
  EXPECT_THAT(instance.Invoke("outer"), Returns({Value::I32(2)}));
}

// Nested bodies, calls before, in and behind them: each call has the handlers that are around it.
TEST_P(ExceptionTest, EachCallHasTheHandlersAroundIt) {
  const auto step = [](int32_t n) { return Concat({Get(0), I32Const(n), Call(0)}); };
  const auto caught = [](const Bytes& body, int32_t n) {
    return Block(kVoid, Concat({Block(kVoid, Concat({TryTable(kVoid, {CatchAll(0)}, body), Br(1)})),
                                Get(1),
                                I32Const(n),
                                {kAdd},
                                Set(1)}));
  };
  TestInstance instance = Make({
      .tags = {{}},
      .funcs = {{"", {kI32, kI32}, {}, Concat({Get(0), Get(1), {0x46}, If(Throw(0))})},
                {"run",
                 {kI32},
                 {kI32},
                 Concat(
                     {step(1),
                      caught(Concat({step(2), caught(Concat({step(3), caught({}, 7), step(4)}), 10),
                                     step(5), caught(step(6), 100), step(7)}),
                             1000),
                      step(8), Get(1)}),
                 {{0x01, kI32}}}},
  });
  const std::pair<int, int> expected[] = {{0, 0},    {2, 1000}, {3, 10},  {4, 10},
                                          {5, 1000}, {6, 100},  {7, 1000}};
  for (const auto& [at, result] : expected) {
    EXPECT_THAT(instance.Invoke("run", {Value::I32(at)}), Returns({Value::I32(result)})) << at;
  }
  EXPECT_NE(ExceptionOf(instance.Invoke("run", {Value::I32(1)})), nullptr);
  EXPECT_NE(ExceptionOf(instance.Invoke("run", {Value::I32(8)})), nullptr);
}

// A tag is told by where it comes from and not by its type: an import is the exporter's.
TEST_P(ExceptionTest, CrossInstancesByTheTagsIdentity) {
  const TestModule thrower = {.tags = {{kI32}},
                              .funcs = {{"f", {}, {}, Concat({I32Const(3), Throw(0)})}}};
  Store store(TestEngine().runtime());
  const auto module = Load(thrower, GetParam());
  Linker linker;
  const auto first = linker.Instantiate(store, module);
  const auto second = linker.Instantiate(store, module);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_FALSE(*first->instance->Tag("tag0") == *second->instance->Tag("tag0"));
  linker.DefineInstance("tags", *first->instance);
  linker.Define("host", "0", *first->instance->Func("f"));
  linker.Define("host", "1", *second->instance->Func("f"));
  const auto run = [](uint8_t func) {
    return Concat({TryTable(kVoid, {Catch(0, 0)}, Call(func)), {kUnreachable}});
  };
  const auto catcher = linker.Instantiate(
      store, Load({.tags = {{kI32}},
                   .funcs = {{"first", {}, {kI32}, run(0)}, {"second", {}, {kI32}, run(1)}},
                   .imports = {{{}, {}}, {{}, {}}},
                   .imported_tags = 1},
                  GetParam()));
  ASSERT_TRUE(catcher.ok()) << catcher.status();
  EXPECT_THAT(Invoke(*catcher->instance->Func("first")), Returns({Value::I32(3)}));
  const Invoked second_run = Invoke(*catcher->instance->Func("second"));
  ASSERT_NE(ExceptionOf(second_run), nullptr);
  EXPECT_TRUE(ExceptionOf(second_run)->tag == *second->instance->Tag("tag0"));
  EXPECT_TRUE(*catcher->instance->Tag("tag0") == *first->instance->Tag("tag0"));
  // Another type does not link.
  linker.Define("tags", "tag0", *store.CreateTag({{ValType::kI64}, {}}));
  const auto wrong =
      linker.CheckImports(*Load({.tags = {{kI32}}, .funcs = {}, .imported_tags = 1}, GetParam()));
  EXPECT_THAT(std::string(wrong.message()),
              testing::HasSubstr("wants (tag (param i32)), there is (tag (param i64))"));
  EXPECT_FALSE(store.CreateTag({{}, {ValType::kI32}}).ok());
}

// wasm → host → wasm: the host function keeps the exception, lets it go on, or throws its own.
TEST_P(ExceptionTest, HostFunctionsDecide) {
  std::unique_ptr<TestInstance> instance;
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store& store) {
    linker.Define("tags", "tag0", *store.CreateTag({{ValType::kI32}, {}}));
    linker.DefineFunc(
        "host", "0", {{ValType::kI32}, {}},
        [&](HostContext& context, std::span<const Value> args, std::span<Value>) -> HostResult {
          const TagHandle tag = *instance->instance().Tag("tag0");
          switch (args[0].i32()) {
            case 0: {  // Goes on.
              std::vector<Value> results;
              auto outcome = instance->Func("throw").Call({}, results);
              EXPECT_NE(outcome->exception(), nullptr);
              return context.Throw(*outcome->exception());
            }
            case 1:
              static_cast<void>(instance->Invoke("throw"));
              return HostResult::Ok();
            case 2:
              return context.Throw(tag, std::vector{Value::I32(77)});
            case 3:
              return context.Throw(tag, std::vector{Value::I64(1)});
            case 4: {  // Another exception is thrown and caught in between.
              HostResult result = context.Throw(tag, std::vector{Value::I32(88)});
              EXPECT_THAT(instance->Invoke("run", {Value::I32(2)}), Returns({Value::I32(77)}));
              return result;
            }
            default:
              return HostResult::Trap(TrapCode::kException);
          }
        });
  };
  instance = std::make_unique<TestInstance>(
      Load({.tags = {{kI32}},
            .funcs = {{"throw", {}, {}, Concat({I32Const(66), Throw(0)})},
                      {"run",
                       {kI32},
                       {kI32},
                       Concat({TryTable(kVoid, {Catch(0, 0)}, Concat({Get(0), Call(0)})),
                               I32Const(-1)})},
                      {"bare", {kI32}, {}, Concat({Get(0), {0x12, 0x00}})}},
            .imports = {{{kI32}, {}}},
            .imported_tags = 1},
           GetParam()),
      options);
  EXPECT_THAT(instance->Invoke("run", {Value::I32(0)}), Returns({Value::I32(66)}));
  EXPECT_THAT(instance->Invoke("run", {Value::I32(1)}), Returns({Value::I32(-1)}));
  EXPECT_THAT(instance->Invoke("run", {Value::I32(2)}), Returns({Value::I32(77)}));
  EXPECT_THAT(instance->Invoke("run", {Value::I32(3)}), TrapsWith(TrapCode::kHostError));
  EXPECT_THAT(instance->Invoke("run", {Value::I32(4)}), Returns({Value::I32(88)}));
  EXPECT_THAT(instance->Invoke("run", {Value::I32(5)}), TrapsWith(TrapCode::kHostError));
  // The entry itself called the host function, as the tail call left it.
  const Invoked bare = instance->Invoke("bare", {Value::I32(2)});
  ASSERT_NE(ExceptionOf(bare), nullptr);
  EXPECT_THAT(ExceptionOf(bare)->values, ElementsAre(Value::I32(77)));
}

// On a thread with room for it: a hundred thousand frames are left at once.
void* ThrowFromTheDeep(void* mode) {
  TestInstanceOptions options;
  options.store.wasm_stack_bytes = 48 << 20;
  TestInstance instance(
      Load({.tags = {{kI32}},
            .funcs = {{"dive",
                       {kI32},
                       {},
                       Concat({Get(0),
                               {0x45},
                               If(Concat({I32Const(5), Throw(0)})),
                               Get(0),
                               I32Const(1),
                               {kSub},
                               Call(0)})},
                      {"run",
                       {kI32},
                       {kI32},
                       Concat({TryTable(kVoid, {Catch(0, 0)}, Concat({Get(0), Call(0)})),
                               {kUnreachable}})}}},
           *static_cast<CompileMode*>(mode)),
      options);
  EXPECT_THAT(instance.Invoke("run", {Value::I32(100'000)}), Returns({Value::I32(5)}));
  EXPECT_NE(ExceptionOf(instance.Invoke("dive", {Value::I32(100'000)})), nullptr);
  EXPECT_THAT(instance.Invoke("run", {Value::I32(100'000'000)}),
              TrapsWith(TrapCode::kStackOverflow));
  return nullptr;
}

TEST_P(ExceptionTest, LeaveADeepRecursion) {
  CompileMode mode = GetParam();
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 20);
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, &ThrowFromTheDeep, &mode), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

// --- Memory.

// `run` does that n times; global 0 is an exnref, local 0 counts down.
TestModule ThrowsInALoop(const Bytes& clause_and_keep) {
  return {
      .tags = {{kI32, kExn}},
      .funcs = {{"run",
                 {kI32},
                 {},
                 Loop(kVoid,
                      Concat({clause_and_keep, Get(0), I32Const(1), {kSub, 0x22, 0x00}, BrIf(0)})),
                 {{0x01, kI32}, {0x01, kExn}}},
                {"kept", {}, {kExn}, GlobalGet(0)},
                {"throw_kept", {}, {}, Concat({GlobalGet(0), {kThrowRef}})},
                {"forget", {}, {}, Concat({{0xd0, kExn}, GlobalSet(0)})}},
      .globals = {{kExn, 0x01, 0xd0, kExn, kEnd}}};
}

const Bytes& ThrowOne() {
  // With the iteration's number, and no cause.
  static const auto& code = *new Bytes(Concat({Get(0), {0xd0, kExn}, Throw(0)}));
  return code;
}

TEST_P(ExceptionTest, AMillionThatAreCaughtTakeNoMemory) {
  TestInstance instance =
      Make(ThrowsInALoop(Block(kVoid, TryTable(kVoid, {CatchAll(0)}, ThrowOne()))));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(1'000'000)}), Returns({}));
  EXPECT_LT(instance.store().memory_bytes(), 1000u);
}

TEST_P(ExceptionTest, AMillionExnrefsAreCollected) {
  TestInstance instance = Make(ThrowsInALoop(
      Concat({Block(kExn, Concat({TryTable(kVoid, {CatchAllRef(0)}, ThrowOne()), {kUnreachable}})),
              GlobalSet(0)})));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(1'000'000)}), Returns({}));
  EXPECT_LT(instance.store().memory_bytes(), 4u << 20);
  const Invoked kept = instance.Invoke("throw_kept");
  ASSERT_NE(ExceptionOf(kept), nullptr) << "the global's is still there";
  EXPECT_EQ(ExceptionOf(kept)->values[0], Value::I32(1));
}

// An exnref that only a waiting frame has survives what others throw; so does what it refers to.
TEST_P(ExceptionTest, FramesKeepTheirExnrefs) {
  TestModule module = ThrowsInALoop(
      Concat({Block(kExn, Concat({TryTable(kVoid, {CatchAllRef(0)}, ThrowOne()), {kUnreachable}})),
              {kDrop}}));
  const Bytes inner = Block(
      kExn,
      Concat({TryTable(kVoid, {CatchAllRef(0)}, Concat({I32Const(5), {0xd0, kExn}, Throw(0)})),
              {kUnreachable}}));
  const Bytes outer = Concat({Block(kExn, Concat({TryTable(kVoid, {CatchAllRef(0)},
                                                           Concat({I32Const(6), inner, Throw(0)})),
                                                  {kUnreachable}})),
                              Set(1),
                              Get(0),
                              Call(0),
                              Get(1),
                              {kThrowRef}});
  module.funcs.push_back({"holds", {kI32}, {}, outer, {{0x01, kExn}}});
  TestInstance instance = Make(module);
  const Invoked invoked = instance.Invoke("holds", {Value::I32(200'000)});
  ASSERT_NE(ExceptionOf(invoked), nullptr);
  EXPECT_EQ(ExceptionOf(invoked)->values[0], Value::I32(6));
  const auto cause = instance.store().ExceptionOf(ExceptionOf(invoked)->values[1]);
  ASSERT_TRUE(cause.ok()) << cause.status();
  EXPECT_EQ(cause->values[0], Value::I32(5));
}

// A list of exceptions that a global keeps: at the limit a throw traps, and it goes on when the
// list is dropped.
TEST_P(ExceptionTest, WhatAGuestKeepsIsBounded) {
  TestInstance instance = Make(ThrowsInALoop(Concat(
      {Block(kExn,
             Concat({TryTable(kVoid, {CatchAllRef(0)}, Concat({Get(0), GlobalGet(0), Throw(0)})),
                     {kUnreachable}})),
       GlobalSet(0)})));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(100'000)}), Returns({}));
  EXPECT_GT(instance.store().memory_bytes(), 100'000u * 48 - 1);
  EXPECT_THAT(instance.Invoke("run", {Value::I32(100'000'000)}),
              TrapsWith(TrapCode::kExceptionLimit));
  EXPECT_LE(instance.store().memory_bytes(), kMaxExceptionBytes);
  EXPECT_THAT(instance.Invoke("forget"), Returns({}));
  EXPECT_THAT(instance.Invoke("run", {Value::I32(100'000)}), Returns({}));

  TestInstanceOptions options;
  options.store.memory_bytes = 1 << 20;
  TestInstance small(
      Load(ThrowsInALoop(
               Concat({Block(kExn, Concat({TryTable(kVoid, {CatchAllRef(0)},
                                                    Concat({Get(0), GlobalGet(0), Throw(0)})),
                                           {kUnreachable}})),
                       GlobalSet(0)})),
           GetParam()),
      options);
  EXPECT_THAT(small.Invoke("run", {Value::I32(100'000)}), TrapsWith(TrapCode::kExceptionLimit));
  EXPECT_LE(small.store().memory_bytes(), 1u << 20) << "they count as the store's memory";
}

// What the host was given last stays; an old exnref is refused where it is used.
TEST_P(ExceptionTest, TheHostsLastExnrefsStay) {
  TestModule module = ThrowsInALoop(
      Concat({Block(kExn, Concat({TryTable(kVoid, {CatchAllRef(0)}, ThrowOne()), {kUnreachable}})),
              GlobalSet(0)}));
  module.funcs.push_back({"take", {kExn}, {}, Concat({Get(0), {kThrowRef}})});
  TestInstance instance = Make(module);
  std::vector<uint64_t> words;  // Not as they are: the stack is looked through.
  for (uint32_t i = 0; i < 2 * kMaxHostExceptions; ++i) {
    EXPECT_THAT(instance.Invoke("run", {Value::I32(1)}), Returns({}));
    words.push_back(~instance.Invoke("kept").values[0].bits);
  }
  EXPECT_THAT(instance.Invoke("run", {Value::I32(100'000)}), Returns({}));
  const auto describe = [&](size_t i) {
    return instance.store().ExceptionOf({ValType::kExnRef, ~words[i]}).ok();
  };
  for (size_t i = kMaxHostExceptions; i < words.size(); ++i) {
    ASSERT_TRUE(describe(i)) << i;
  }
  // Some of the older ones' places may be another exception's by now.
  size_t gone = 0;
  for (size_t i = 0; i < kMaxHostExceptions; ++i) {
    if (!describe(i)) {
      ++gone;
      EXPECT_THAT(instance.Invoke("take", {Value{ValType::kExnRef, ~words[i]}}),
                  TrapsWith(TrapCode::kHostError));
    }
  }
  EXPECT_GT(gone, 0u);
}

// Vectors in what is thrown, and in a local that the handler reads; 0xfd 0x71 is i8x16.sub, 0xfd
// 0x51 v128.xor. Tail calls on the way carry them too.
TEST_P(ExceptionTest, VectorsAreThrownAndLiveIntoTheHandler) {
  const Bytes kXor = {0xfd, 0x51};
  const Bytes kMinus = {0xfd, 0x71};
  constexpr uint8_t kThrown = 1;  // Type of the function that is there for its results.
  TestInstance instance = Make({
      .tags = {{kV128, kI32, kV128}},
      .funcs =
          {{"", {}, {kV128, kI32, kV128}, {kUnreachable}},
           {"", {kV128, kV128}, {}, Concat({Get(0), I32Const(42), Get(1), Throw(0)})},
           {"", {kV128, kV128}, {}, Concat({Get(1), Get(0), {0x12, 0x01}})},  // return_call
           {"run",
            {kV128, kV128},
            {kV128, kI32},
            // 2: what lives into the handler, set within the try_table; 3 and 4: what was thrown.
            Concat({Block(kThrown, Concat({TryTable(kVoid, {Catch(0, 0)},
                                                    Concat({Get(0), Get(1), kXor, Set(2), Get(0),
                                                            Get(1), Call(2)})),
                                           {kUnreachable}})),
                    Set(3), Set(5), Set(4), Get(4), Get(3), kMinus, Get(2), kXor, Get(5)}),
            {{1, kV128}, {1, kV128}, {1, kV128}, {1, kI32}}}},
  });
  const V128 a{0x0102'0304'0506'0708, 0x1112'1314'1516'1718};
  const V128 b{0x2122'2324'2526'2728, 0x3132'3334'3536'3738};
  // Swapped on the way: b - a, with no borrow in any byte; then xor (a ^ b).
  const V128 expected{(b.lo - a.lo) ^ (a.lo ^ b.lo), (b.hi - a.hi) ^ (a.hi ^ b.hi)};
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(instance.Invoke("run", {Value::Vector(a), Value::Vector(b)}),
                Returns({Value::Vector(expected), Value::I32(42)}));
  }
}

// As an outcome too: a vector in an exception that nobody catches.
TEST_P(ExceptionTest, AnUncaughtVectorIsInTheOutcome) {
  TestInstance instance =
      Make({.tags = {{kI32, kV128}},
            .funcs = {{"run", {kV128}, {}, Concat({I32Const(7), Get(0), Throw(0)})}}});
  const Value vector = Value::Vector({0x1234, 0x5678});
  const Invoked invoked = instance.Invoke("run", {vector});
  const Exception* const exception = ExceptionOf(invoked);
  ASSERT_NE(exception, nullptr);
  EXPECT_THAT(exception->values, ElementsAre(Value::I32(7), vector));
}

// A host function with C++ types throws; wasm catches it, or the caller of wasm gets it.
TEST_P(ExceptionTest, TypedHostFunctionsThrow) {
  std::unique_ptr<TestInstance> instance;
  TestInstanceOptions options;
  options.link = [&](Linker& linker, Store&) {
    linker.DefineTyped("host", "0", [&](HostContext& context, int32_t n) -> HostResultOr<int32_t> {
      if (n % 2 == 0) {
        return n / 2;
      }
      return context.Throw(*instance->instance().Tag("tag0"), std::vector{Value::I32(n + 100)});
    });
  };
  instance = std::make_unique<TestInstance>(
      Load({.tags = {{kI32}},
            .funcs = {{"bare", {kI32}, {kI32}, Concat({Get(0), Call(0)})},
                      {"caught",
                       {kI32},
                       {kI32},
                       Block(kI32, TryTable(kI32, {Catch(0, 0)}, Concat({Get(0), Call(0)})))}},
            .imports = {{{kI32}, {kI32}}}},
           GetParam()),
      options);
  EXPECT_THAT(instance->Invoke("bare", {Value::I32(8)}), Returns({Value::I32(4)}));
  EXPECT_THAT(instance->Invoke("caught", {Value::I32(8)}), Returns({Value::I32(4)}));
  EXPECT_THAT(instance->Invoke("caught", {Value::I32(9)}), Returns({Value::I32(109)}));
  const Invoked invoked = instance->Invoke("bare", {Value::I32(9)});
  const Exception* const exception = ExceptionOf(invoked);
  ASSERT_NE(exception, nullptr);
  EXPECT_THAT(exception->values, ElementsAre(Value::I32(109)));
}

}  // namespace
}  // namespace wasmd::engine
