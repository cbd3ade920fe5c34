#include "tests/support/tenants.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/str_cat.h"

namespace wasmd::engine {
namespace {

// Where the active segment lies, and what it holds: never the pattern, never only zeros.
constexpr uint32_t kDataBegin = 4992;
constexpr uint32_t kDataEnd = 8000;
constexpr std::string_view kDataByte =
    "(i32.and (i32.add (i32.mul (local.get $at) (i32.const 7)) (i32.const 3)) (i32.const 63))";
char DataByte(uint32_t at) {
  return static_cast<char>((at * 7 + 3) & 63);
}

constexpr std::string_view kLocals = "IIIIIIIIIIIIIIIIIIIIIIIIvvvvvvvvFFFFiiiiff";
constexpr uint32_t kWidest = 1000;  // Parameters: as many as there may be.

std::string_view TypeName(char type) {
  switch (type) {
    case 'i':
      return "i32";
    case 'I':
      return "i64";
    case 'f':
      return "f32";
    case 'F':
      return "f64";
    case 'v':
      return "v128";
    default:
      return "externref";
  }
}
std::string Types(std::string_view types) {
  std::string text;
  for (const char type : types) {
    text += StrCat(" ", TypeName(type));
  }
  return text;
}
// The pattern as a value of the type, of $p and $v.
std::string_view Pattern(char type) {
  switch (type) {
    case 'i':
      return "(i32.wrap_i64 (local.get $p))";
    case 'I':
      return "(local.get $p)";
    case 'f':
      return "(f32.reinterpret_i32 (i32.wrap_i64 (local.get $p)))";
    case 'F':
      return "(f64.reinterpret_i64 (local.get $p))";
    default:
      return "(local.get $v)";
  }
}
std::string_view Zero(char type) {
  switch (type) {
    case 'i':
      return "(i32.const 0)";
    case 'I':
      return "(i64.const 0)";
    case 'f':
      return "(f32.const 0)";
    case 'F':
      return "(f64.const 0)";
    default:
      return "(v128.const i64x2 0 0)";
  }
}
// All bits of a value of the type as an i64 that is zero if they are.
std::string Bits(char type, std::string_view value) {
  switch (type) {
    case 'i':  // Shows the upper half of the register, too.
      return StrCat("(i64.extend_i32_u ", value, ")");
    case 'I':
      return std::string(value);
    case 'f':
      return StrCat("(i64.extend_i32_u (i32.reinterpret_f32 ", value, "))");
    case 'F':
      return StrCat("(i64.reinterpret_f64 ", value, ")");
    case 'v':
      return StrCat("(i64.or (i64x2.extract_lane 0 ", value, ") (i64x2.extract_lane 1 ", value,
                    "))");
    default:
      return StrCat("(i64.extend_i32_u (i32.eqz (ref.is_null ", value, ")))");
  }
}
std::string Local(std::string_view prefix, size_t index) {
  return StrCat("(local.get $", prefix, index, ")");
}
// $sum |= the bits of each of $prefix0, $prefix1 …
std::string OrAll(std::string_view prefix, std::string_view types) {
  std::string text;
  for (size_t i = 0; i < types.size(); ++i) {
    text += StrCat("(local.set $sum (i64.or (local.get $sum) ", Bits(types[i], Local(prefix, i)),
                   "))\n");
  }
  return text;
}
std::string Declare(std::string_view kind, std::string_view prefix, std::string_view types) {
  std::string text;
  for (size_t i = 0; i < types.size(); ++i) {
    text += StrCat("(", kind, " $", prefix, i, " ", TypeName(types[i]), ") ");
  }
  return text;
}
std::string SetAllToPattern(std::string_view prefix, std::string_view types) {
  std::string text;
  for (size_t i = 0; i < types.size(); ++i) {
    text += StrCat("(local.set $", prefix, i, " ", Pattern(types[i]), ")\n");
  }
  return text;
}
std::string Patterns(std::string_view types) {
  std::string text;
  for (const char type : types) {
    text += Pattern(type);
  }
  return text;
}
std::string Zeros(std::string_view types) {
  std::string text;
  for (const char type : types) {
    text += Zero(type);
  }
  return text;
}
std::string Repeat(std::string_view text, uint32_t times) {
  std::string all;
  for (uint32_t i = 0; i < times; ++i) {
    all += text;
  }
  return all;
}

// Sets bits of $found where `condition`, an i32, holds.
std::string FindIf(std::string_view condition, uint32_t finding) {
  return StrCat("(if ", condition,
                " (then (local.set $found (i32.or (local.get $found) (i32.const ", finding,
                ")))))\n");
}
std::string FindIfNot0(std::string_view i64, uint32_t finding) {
  return FindIf(StrCat("(i64.ne ", i64, " (i64.const 0))"), finding);
}

std::string Imports(const TenantModule& module) {
  std::string text;
  if (module.host) {
    text += StrCat(R"((import "host" "leave" (func $leave (param i32)))
        (import "host" "silent" (func $silent (result)",
                   Types(kSilentResults), ")))\n");
  }
  if (module.wasi) {
    const auto import = [&](std::string_view name, std::string_view params) {
      text += StrCat("(import \"wasi_snapshot_preview1\" \"", name, "\" (func $", name, " (param ",
                     params, ") (result i32)))\n");
    };
    import("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32");
    import("fd_write", "i32 i32 i32 i32");
    import("fd_read", "i32 i32 i32 i32");
    import("fd_renumber", "i32 i32");
    import("fd_close", "i32");
    import("fd_fdstat_get", "i32 i32");
    import("fd_prestat_get", "i32 i32");
    import("args_sizes_get", "i32 i32");
  }
  return text;
}

// The ends. Each behind frames that are full of the pattern.
std::string EndFunc(const TenantModule& module) {
  std::string text = "(func $end (param $end i32) (param $p i64) (param $v v128)\n";
  const auto when = [&](TenantEnd end, std::string_view code) {
    text += StrCat("(if (i32.eq (local.get $end) (i32.const ", static_cast<uint32_t>(end),
                   ")) (then ", code, "))\n");
  };
  when(TenantEnd::kUnreachable, "unreachable");
  when(TenantEnd::kDivideByZero, "(drop (i64.div_u (local.get $p) (i64.const 0)))");
  when(TenantEnd::kMemoryFault, "(v128.store (i32.const -16) (local.get $v))");
  when(TenantEnd::kMemoryBuiltin,
       "(memory.fill (i32.const 0) (i32.wrap_i64 (local.get $p)) (i32.const -1))");
  when(TenantEnd::kTableOutOfBounds, "(drop (table.get $funcs (i32.const 1000)))");
  // Whatever was filled: a null, and a function of another type, stand beyond what is filled.
  when(TenantEnd::kCallNull,
       "(table.set $funcs (i32.const 1) (ref.null func)) (call_indirect $funcs (i32.const 1))");
  when(TenantEnd::kCallBadSignature,
       "(drop (call_indirect $funcs (type $takes) (local.get $p) (i32.const 0)))");
  when(TenantEnd::kInvalidConversion, "(drop (i32.trunc_f64_s (f64.const nan)))");
  when(TenantEnd::kIntegerOverflow,
       "(drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))");
  when(TenantEnd::kStackOverflow, "(call $down (local.get $p) (local.get $v))");
  when(TenantEnd::kException, StrCat(Patterns(kExceptionTypes), " (throw $tag)"));
  if (module.host) {
    when(TenantEnd::kHostTrap, "(call $leave (i32.const 0))");
    when(TenantEnd::kExit, "(call $leave (i32.const 1))");
  }
  return text + ")\n";
}

std::string FillFuncs(const TenantModule& module) {
  std::string text;
  // Recursion without an end.
  text += StrCat("(func $down (param $p i64) (param $v v128) ", Declare("local", "l", kLocals),
                 "(local $sum i64)\n", SetAllToPattern("l", kLocals),
                 "(call $down (local.get $p) (local.get $v))\n", OrAll("l", kLocals),
                 "(global.set $g1 (local.get $sum)))\n");
  text += StrCat("(func $wide (param", Types(kArgumentTypes), ") (param $p i64) (param $v v128) ",
                 "(result", Types(kExceptionTypes), Types(kExceptionTypes), ")\n",
                 Patterns(kExceptionTypes), Patterns(kExceptionTypes), ")\n");
  text += StrCat("(func $widest (param", Repeat(" v128", kWidest), "))\n");
  text +=
      StrCat("(func $calls (param $p i64) (param $v v128) (call $wide ", Patterns(kArgumentTypes),
             "(local.get $p) (local.get $v))", Repeat(" drop", 2 * (sizeof(kExceptionTypes) - 1)),
             "\n(call $widest ", Repeat("(local.get $v)", kWidest), "))\n");
  text += EndFunc(module);
  text +=
      StrCat("(func $deep (param $depth i32) (param $end i32) (param $p i64) (param $v v128) ",
             Declare("local", "l", kLocals), "(local $sum i64)\n", SetAllToPattern("l", kLocals),
             "(if (local.get $depth)\n",
             "(then (call $deep (i32.sub (local.get $depth) (i32.const 1)) (local.get $end) ",
             "(local.get $p) (local.get $v)))\n(else (call $calls (local.get $p) (local.get $v))\n",
             "(call $end (local.get $end) (local.get $p) (local.get $v))))\n", OrAll("l", kLocals),
             "(global.set $g1 (local.get $sum)))\n");
  if (module.wasi) {
    // Twenty files, one of them under another's number, bytes in all streams, and half of the
    // input.
    text += R"((func $fill_wasi (param $p i64) (local $i i32)
        (i32.store8 (i32.const 0) (i32.const 0x61))
        (loop $open
          (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1)
                      (i64.const 66) (i64.const 66) (i32.const 0) (i32.const 8)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $open (i32.lt_u (local.get $i) (i32.const 20))))
        (i64.store (i32.const 256) (local.get $p))
        (i32.store (i32.const 16) (i32.const 256)) (i32.store (i32.const 20) (i32.const 8))
        (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))
        (drop (call $fd_write (i32.const 5) (i32.const 16) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 20) (i32.const 3))
        (drop (call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 8)))
        (drop (call $fd_renumber (i32.const 10) (i32.const 5)))
        (drop (call $fd_close (i32.const 2))))
    )";
  }
  text += StrCat(R"((func $fill_all (param $end i32) (param $depth i32) (param $grow i32)
        (param $stride i32) (param $p i64) (local $v v128) (local $at i32) (local $to i32)
      (local.set $v (i64x2.splat (local.get $p)))
  )",
                 module.wasi ? "(call $fill_wasi (local.get $p))" : "", R"(
      (drop (memory.grow (local.get $grow)))
      (local.set $to (i32.mul (memory.size) (i32.const 65536)))
      (if (local.get $stride)
        (then (block $done (loop $next
          (br_if $done (i32.ge_u (local.get $at) (local.get $to)))
          (v128.store (local.get $at) (local.get $v))
          (local.set $at (i32.add (local.get $at) (local.get $stride)))
          (br $next))))
        (else (memory.fill (i32.const 0) (i32.wrap_i64 (local.get $p)) (local.get $to))))
      (drop (table.grow $funcs (ref.func $one) (i32.const 4)))
      (table.fill $funcs (i32.const 0) (ref.func $one) (table.size $funcs))
      (drop (table.grow $externs (global.get $kept) (i32.const 4)))
      (table.fill $externs (i32.const 0) (global.get $kept) (table.size $externs))
      (global.set $g0 (i32.wrap_i64 (local.get $p)))
      (global.set $g1 (local.get $p))
      (global.set $g2 (f32.reinterpret_i32 (i32.wrap_i64 (local.get $p))))
      (global.set $g3 (f64.reinterpret_i64 (local.get $p)))
      (global.set $g4 (local.get $v))
      (global.set $g5 (ref.func $one))
      (call $deep (local.get $depth) (local.get $end) (local.get $p) (local.get $v)))
    (func (export "fill") (param $end i32) (param $depth i32) (param $grow i32) (param $stride i32)
        (param $p i64)
      (if (i32.eq (local.get $end) (i32.const )",
                 static_cast<uint32_t>(TenantEnd::kForever), R"())
        (then (loop $again
          (call $fill_all (i32.const 0) (local.get $depth) (local.get $grow) (local.get $stride)
                (local.get $p))
          (br $again))))
      (call $fill_all (local.get $end) (local.get $depth) (local.get $grow) (local.get $stride)
            (local.get $p)))
    (func (export "keep") (param externref)
      (global.set $kept (local.get 0)) (table.set $externs (i32.const 3) (local.get 0)))
  )");
  return text;
}

std::string ScanFuncs(const TenantModule& module) {
  std::string text = R"(
    ;; Whether anything in a range of whole 16 bytes is not zero.
    (func $is_dirty (param $at i32) (param $to i32) (result i32)
      (block $done (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $to)))
        (if (v128.any_true (v128.load (local.get $at))) (then (return (i32.const 1))))
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br $next)))
      (i32.const 0))
  )";
  if (module.data) {
    text += StrCat(R"((func $data_differs (result i32) (local $at i32)
        (local.set $at (i32.const )",
                   kDataBegin, R"())
        (loop $next
          (if (i32.ne (i32.load8_u (local.get $at)) )",
                   kDataByte, R"() (then (return (i32.const 1))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $at) (i32.const )",
                   kDataEnd, R"())))
        (i32.const 0))
    )");
  }
  // Locals that are read before, and after, the call below has used the stack. What is written to
  // them under a condition that never holds keeps a compiler from knowing that they are zero.
  text +=
      StrCat("(func $look (param $depth i32) (param $never i32) (param $p i64) (param $v v128) ",
             "(result i64) ", Declare("local", "l", kLocals), "(local $sum i64)\n",
             "(if (local.get $never) (then ", SetAllToPattern("l", kLocals), "))\n",
             OrAll("l", kLocals), "(if (local.get $depth) (then (local.set $sum (i64.or ",
             "(local.get $sum) (call $look (i32.sub (local.get $depth) (i32.const 1)) ",
             "(local.get $never) (local.get $p) (local.get $v))))))\n", OrAll("l", kLocals),
             "(local.get $sum))\n");
  text += StrCat("(func $arguments (export \"arguments\") ", Declare("param", "a", kArgumentTypes),
                 "(result i32) (local $sum i64)\n", OrAll("a", kArgumentTypes),
                 "(if (result i32) (i64.ne (local.get $sum) (i64.const 0)) (then (i32.const ",
                 static_cast<uint32_t>(kFoundInArguments), ")) (else (i32.const 0))))\n");
  text += StrCat("(func (export \"throw_zeros\") ", Zeros(kExceptionTypes), " (throw $tag))\n");
  if (module.host) {
    text += StrCat("(func $silent_results (result i64) ", Declare("local", "r", kSilentResults),
                   "(local $sum i64) (call $silent)\n");
    for (size_t i = sizeof(kSilentResults) - 1; i-- > 0;) {
      text += StrCat("(local.set $r", i, ")");
    }
    text += StrCat("\n", OrAll("r", kSilentResults), "(local.get $sum))\n");
  }
  if (module.wasi) {
    text += R"((func $wasi_differs (result i32) (local $fd i32)
        (loop $next
          (if (i32.ne (i32.eqz (call $fd_fdstat_get (local.get $fd) (i32.const 64)))
                      (i32.lt_u (local.get $fd) (i32.const 4)))
            (then (return (i32.const 1))))
          (if (i32.ne (i32.eqz (call $fd_prestat_get (local.get $fd) (i32.const 64)))
                      (i32.eq (local.get $fd) (i32.const 3)))
            (then (return (i32.const 1))))
          (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $fd) (i32.const 1100))))
        (i32.store (i32.const 16) (i32.const 128)) (i32.store (i32.const 20) (i32.const 64))
        (if (call $fd_read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 8))
          (then (return (i32.const 1))))
        (if (i32.ne (i32.load (i32.const 8)) (i32.const 4)) (then (return (i32.const 1))))
        (if (i32.ne (i32.load (i32.const 128)) (i32.const 0x42424242)) (then (return (i32.const 1))))
        (if (i64.ne (i64.load (i32.const 132)) (i64.const 0)) (then (return (i32.const 1))))
        (drop (call $args_sizes_get (i32.const 8) (i32.const 12)))
        (i32.ne (i32.load (i32.const 8)) (i32.const 1)))
    )";
  }
  text += R"((func (export "scan") (param $depth i32) (param $grow i32) (result i32)
      (local $found i32) (local $size i32) (local $i i32)
      (local.set $size (i32.mul (memory.size) (i32.const 65536)))
  )";
  if (module.data) {
    text += FindIf(StrCat("(call $is_dirty (i32.const 0) (i32.const ", kDataBegin, "))"),
                   kFoundInMemory);
    text += FindIf("(call $data_differs)", kFoundInData);
    text += FindIf(StrCat("(call $is_dirty (i32.const ", kDataEnd, ") (local.get $size))"),
                   kFoundInMemory);
  } else {
    text += FindIf("(call $is_dirty (i32.const 0) (local.get $size))", kFoundInMemory);
  }
  text += FindIf(StrCat("(i32.ne (local.get $size) (i32.const ", module.min_pages * 65536, "))"),
                 kFoundInMemory);
  text += "(drop (memory.grow (local.get $grow)))\n";
  text += FindIf("(call $is_dirty (local.get $size) (i32.mul (memory.size) (i32.const 65536)))",
                 kFoundInGrownMemory);
  // One function is in the tables, put there by an elem segment.
  text +=
      StrCat("(loop $element\n",
             FindIf("(i32.ne (ref.is_null (table.get $funcs (local.get $i))) "
                    "(i32.ne (local.get $i) (i32.const 2)))",
                    kFoundInTables),
             FindIf("(i32.eqz (ref.is_null (table.get $externs (local.get $i))))", kFoundInTables),
             "(local.set $i (i32.add (local.get $i) (i32.const 1)))\n",
             "(br_if $element (i32.lt_u (local.get $i) (i32.const 8))))\n");
  text += FindIf("(i32.ne (table.size $funcs) (i32.const 8))", kFoundInTables);
  text += FindIf("(i32.ne (table.size $externs) (i32.const 8))", kFoundInTables);
  text += FindIf("(i32.eqz (ref.is_null (global.get $kept)))", kFoundInGlobals);
  text += FindIf("(i32.eqz (ref.is_null (global.get $g5)))", kFoundInGlobals);
  constexpr std::string_view kGlobalTypes = "iIfFv";
  for (size_t i = 0; i < kGlobalTypes.size(); ++i) {
    text += FindIfNot0(Bits(kGlobalTypes[i], StrCat("(global.get $g", i, ")")), kFoundInGlobals);
  }
  text += FindIfNot0(
      "(call $look (local.get $depth) (i32.const 0) (i64.const -1) "
      "(v128.const i64x2 -1 -1))",
      kFoundInFrames);
  text += StrCat("(local.set $found (i32.or (local.get $found) (call $arguments ",
                 Zeros(kArgumentTypes), ")))\n");
  if (module.host) {
    text += FindIfNot0("(call $silent_results)", kFoundInResults);
  }
  if (module.wasi) {
    text += FindIf("(call $wasi_differs)", kFoundInWasi);
  }
  return text + "(local.get $found))\n";
}

std::string BytesFuncs() {
  return StrCat(R"(
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 32768))
    (func $give (result i32)
      (i32.store (i32.const 16) (i32.const 32768))
      (i32.store (i32.const 20) (i32.const )",
                kBytesOutput, R"())
      (i32.const 16))
    (func (export "fill_bytes") (param i32 i32) (result i32)
      (call $fill_all (i32.const 0) (i32.const 10) (i32.const 1) (i32.const 0)
            (i64.const 0xa5a5a5a5a5a5a5a5))
      (call $give))
    (func (export "scan_bytes") (param i32 i32) (result i32)
      (if (call $is_dirty (i32.const 0) (i32.const 32768)) (then unreachable))
      (call $give))
  )");
}

}  // namespace

std::string TenantWat(const TenantModule& module) {
  std::string text =
      StrCat("(module\n(type $takes (func (param i64) (result i64)))\n", Imports(module));
  text += StrCat("(memory (export \"memory\") ", module.min_pages, " ", module.max_pages, ")\n");
  text += StrCat(R"((table $funcs 8 64 funcref) (table $externs 8 64 externref)
    (elem (table $funcs) (i32.const 2) func $one)
    (global $kept (mut externref) (ref.null extern))
    (global $g0 (mut i32) (i32.const 0)) (global $g1 (mut i64) (i64.const 0))
    (global $g2 (mut f32) (f32.const 0)) (global $g3 (mut f64) (f64.const 0))
    (global $g4 (mut v128) (v128.const i64x2 0 0)) (global $g5 (mut funcref) (ref.null func))
    (tag $tag (param)",
                 Types(kExceptionTypes), "))\n(func $one)\n");
  if (module.data) {
    text += StrCat("(data (i32.const ", kDataBegin, ") \"");
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (uint32_t at = kDataBegin; at < kDataEnd; ++at) {
      const auto byte = static_cast<unsigned char>(DataByte(at));
      text += {'\\', kDigits[byte >> 4], kDigits[byte & 15]};
    }
    text += "\")\n";
  }
  return StrCat(text, FillFuncs(module), ScanFuncs(module), module.bytes ? BytesFuncs() : "", ")");
}

}  // namespace wasmd::engine
