#include "client/cpp/value.h"

#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "client/cpp/text.h"

namespace wasmd::client {

namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

template <typename Float>
struct FloatTraits;
template <>
struct FloatTraits<float> {
  using Bits = uint32_t;
  static constexpr int kMantissaBits = 23;
};
template <>
struct FloatTraits<double> {
  using Bits = uint64_t;
  static constexpr int kMantissaBits = 52;
};

template <typename Float>
std::string FloatToString(Float value) {
  using Bits = typename FloatTraits<Float>::Bits;
  constexpr Bits kMantissa = (Bits{1} << FloatTraits<Float>::kMantissaBits) - 1;
  constexpr Bits kCanonicalPayload = Bits{1} << (FloatTraits<Float>::kMantissaBits - 1);
  const char* sign = std::signbit(value) ? "-" : "";
  if (std::isinf(value)) {
    return Cat(sign, "inf");
  }
  if (std::isnan(value)) {
    const Bits payload = std::bit_cast<Bits>(value) & kMantissa;
    return payload == kCanonicalPayload ? Cat(sign, "nan")
                                        : Cat(sign, "nan:0x", absl::Hex(payload));
  }
  char buffer[64];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return error == std::errc() ? std::string(buffer, end) : std::string("?");
}

absl::Status NotA(ValType type, std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      Cat("'", text, "' is not an ", ToString(type), why.empty() ? "" : ": ", why));
}

// Drops underscores that stand between two digits; false if one stands elsewhere.
bool DropUnderscores(std::string_view text, std::string* out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out->push_back(text[i]);
      continue;
    }
    const auto is_digit = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
    if (i == 0 || i + 1 == text.size() || !is_digit(text[i - 1]) || !is_digit(text[i + 1])) {
      return false;
    }
  }
  return true;
}

template <typename Int>
absl::StatusOr<Int> ParseInt(ValType type, std::string_view text) {
  using Unsigned = std::make_unsigned_t<Int>;
  std::string digits;
  if (!DropUnderscores(text, &digits)) {
    return NotA(type, text, "");
  }
  std::string_view rest = digits;
  bool negative = false;
  if (ConsumePrefix(rest, "-")) {
    negative = true;
  } else {
    ConsumePrefix(rest, "+");
  }
  const int base = ConsumePrefix(rest, "0x") || ConsumePrefix(rest, "0X") ? 16 : 10;
  uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(rest.data(), rest.data() + rest.size(), magnitude, base);
  if (rest.empty() || error == std::errc::invalid_argument || end != rest.data() + rest.size()) {
    return NotA(type, text, "write a decimal or 0x… number");
  }
  constexpr uint64_t kMaxUnsigned = std::numeric_limits<Unsigned>::max();
  constexpr uint64_t kMaxNegative = uint64_t{std::numeric_limits<Int>::max()} + 1;
  if (error != std::errc() || magnitude > (negative ? kMaxNegative : kMaxUnsigned)) {
    return NotA(type, text, "out of range");
  }
  const uint64_t bits = negative ? uint64_t{0} - magnitude : magnitude;
  return static_cast<Int>(static_cast<Unsigned>(bits));
}

// The NaNs' text, sign already taken off. nullopt: not a NaN at all.
template <typename Float>
std::optional<absl::StatusOr<Float>> ParseNan(ValType type, std::string_view text,
                                              std::string_view rest, bool negative) {
  using Bits = typename FloatTraits<Float>::Bits;
  constexpr int kMantissaBits = FloatTraits<Float>::kMantissaBits;
  if (!ConsumePrefix(rest, "nan")) {
    return std::nullopt;
  }
  Bits payload = Bits{1} << (kMantissaBits - 1);
  if (ConsumePrefix(rest, ":0x")) {
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), payload, 16);
    if (rest.empty() || error != std::errc() || end != rest.data() + rest.size() || payload == 0 ||
        payload >= Bits{1} << kMantissaBits) {
      return NotA(type, text,
                  "the payload of a NaN is nan:0x… with a number that fits the mantissa");
    }
  } else if (!rest.empty()) {
    return NotA(type, text, "");
  }
  constexpr Bits kExponent =
      (std::numeric_limits<Bits>::max() >> 1) ^ ((Bits{1} << kMantissaBits) - 1);
  const Bits sign = negative ? Bits{1} << (sizeof(Bits) * 8 - 1) : 0;
  return std::bit_cast<Float>(static_cast<Bits>(sign | kExponent | payload));
}

template <typename Float>
absl::StatusOr<Float> ParseFloat(ValType type, std::string_view text) {
  std::string digits;
  if (!DropUnderscores(text, &digits)) {
    return NotA(type, text, "");
  }
  std::string_view rest = digits;
  bool negative = false;
  if (ConsumePrefix(rest, "-")) {
    negative = true;
  } else {
    ConsumePrefix(rest, "+");
  }
  if (auto nan = ParseNan<Float>(type, text, rest, negative)) {
    return *nan;
  }
  if (rest == "inf") {
    const Float infinity = std::numeric_limits<Float>::infinity();
    return negative ? -infinity : infinity;
  }
  // strtod takes more than the text format has: blanks, "infinity", a second sign.
  if (rest.empty() ||
      (std::isdigit(static_cast<unsigned char>(rest.front())) == 0 && rest.front() != '.')) {
    return NotA(type, text, "write a number, inf or nan");
  }
  const std::string number(rest);
  char* end = nullptr;
  Float value = 0;
  if constexpr (std::is_same_v<Float, float>) {
    value = std::strtof(number.c_str(), &end);
  } else {
    value = std::strtod(number.c_str(), &end);
  }
  if (end != number.c_str() + number.size()) {
    return NotA(type, text, "write a number, inf or nan");
  }
  if (std::isinf(value)) {
    return NotA(type, text, "out of range");
  }
  return negative ? -value : value;
}

absl::StatusOr<V128> ParseV128(std::string_view text) {
  const std::vector<std::string> words = absl::StrSplit(CatPart(text), ' ', absl::SkipEmpty());
  if (words.size() != 5 || words[0] != "i32x4") {
    return absl::InvalidArgumentError(Cat("'", text, "' is not a v128: write \"i32x4 1 2 3 4\""));
  }
  V128 result;
  for (size_t lane = 0; lane < 4; ++lane) {
    absl::StatusOr<int32_t> value = ParseInt<int32_t>(ValType::kI32, words[lane + 1]);
    if (!value.ok()) {
      return value.status();
    }
    std::memcpy(result.bytes.data() + lane * 4, &*value, 4);
  }
  return result;
}

// As in the text format: nothing for i32.
std::string_view AddressPrefix(ValType address) {
  return address == ValType::kI64 ? "i64 " : "";
}

std::string LimitsToString(const Limits& limits, std::string_view unit) {
  return limits.max.has_value() ? Cat(limits.min, " .. ", *limits.max, unit)
                                : Cat(limits.min, " ..", unit);
}

// A StatusOr<T> of one alternative as a StatusOr<Value>.
template <typename T>
absl::StatusOr<Value> Widen(absl::StatusOr<T> value) {
  if (!value.ok()) {
    return value.status();
  }
  return Value(*std::move(value));
}

}  // namespace

ValType TypeOf(const Value& value) {
  return std::visit(Overloaded{
                        [](int32_t) { return ValType::kI32; },
                        [](int64_t) { return ValType::kI64; },
                        [](float) { return ValType::kF32; },
                        [](double) { return ValType::kF64; },
                        [](const V128&) { return ValType::kV128; },
                        [](const Reference& ref) { return ref.type; },
                    },
                    value);
}

std::string_view ToString(ValType type) {
  switch (type) {
    case ValType::kUnknown:
      return "unknown";
    case ValType::kI32:
      return "i32";
    case ValType::kI64:
      return "i64";
    case ValType::kF32:
      return "f32";
    case ValType::kF64:
      return "f64";
    case ValType::kV128:
      return "v128";
    case ValType::kFuncRef:
      return "funcref";
    case ValType::kExternRef:
      return "externref";
    case ValType::kExnRef:
      return "exnref";
  }
  return "unknown";
}

std::string ToString(const FuncType& type) {
  const auto join = [](const std::vector<ValType>& types) {
    return absl::StrJoin(types, ", ",
                         [](std::string* out, ValType val) { out->append(ToString(val)); });
  };
  const std::string results =
      type.results.size() == 1 ? join(type.results) : Cat("(", join(type.results), ")");
  return Cat("(", join(type.params), ") -> ", results);
}

std::string ToString(const ExternType& type) {
  return std::visit(
      Overloaded{
          [](const FuncType& func) { return Cat("func ", ToString(func)); },
          [](const TableType& table) {
            return Cat("table ", AddressPrefix(table.address), LimitsToString(table.limits, " "),
                       ToString(table.element));
          },
          [](const MemoryType& memory) {
            const std::string pages = Cat("memory ", AddressPrefix(memory.address),
                                          LimitsToString(memory.limits, " pages"));
            if (memory.page_size == MemoryType{}.page_size) {
              return pages;
            }
            return Cat(pages, " of ", memory.page_size, memory.page_size == 1 ? " byte" : " bytes");
          },
          [](const GlobalType& global) {
            return Cat("global ", global.is_mutable ? "mutable " : "", ToString(global.type));
          },
          [](const TagType& tag) {
            return Cat("tag ", ToString(FuncType{.params = tag.params, .results = {}}));
          },
      },
      type);
}

std::string ToString(const Value& value) {
  return std::visit(Overloaded{
                        [](int32_t i) { return Cat(i); },
                        [](int64_t i) { return Cat(i); },
                        [](float f) { return FloatToString(f); },
                        [](double f) { return FloatToString(f); },
                        [](const V128& v) {
                          uint32_t lanes[4];
                          std::memcpy(lanes, v.bytes.data(), sizeof(lanes));
                          return absl::StrFormat("i32x4 0x%08x 0x%08x 0x%08x 0x%08x", lanes[0],
                                                 lanes[1], lanes[2], lanes[3]);
                        },
                        [](const Reference& ref) {
                          return ref.handle == 0 ? std::string("null") : Cat("ref:", ref.handle);
                        },
                    },
                    value);
}

absl::StatusOr<Value> ParseValue(ValType type, std::string_view text) {
  switch (type) {
    case ValType::kI32:
      return Widen(ParseInt<int32_t>(type, text));
    case ValType::kI64:
      return Widen(ParseInt<int64_t>(type, text));
    case ValType::kF32:
      return Widen(ParseFloat<float>(type, text));
    case ValType::kF64:
      return Widen(ParseFloat<double>(type, text));
    case ValType::kV128:
      return Widen(ParseV128(text));
    case ValType::kFuncRef:
    case ValType::kExternRef:
    case ValType::kExnRef:
      if (text == "null") {
        return Value(Reference{.type = type, .handle = 0});
      }
      return absl::InvalidArgumentError(
          Cat("'", text, "' is not a ", ToString(type), ": only null can be written"));
    case ValType::kUnknown:
      break;
  }
  return absl::UnimplementedError("a value type that this client does not know");
}

}  // namespace wasmd::client
