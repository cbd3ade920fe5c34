// How C++ types travel as a slot's words, at compile time. Internal to client/cpp; the table is in
// channel.h.
#ifndef WASMD_CLIENT_CPP_CHANNEL_WORDS_H_
#define WASMD_CLIENT_CPP_CHANNEL_WORDS_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <vector>

#include "client/cpp/value.h"
#include "proto/ring/layout.h"

namespace wasmd::client::channel_internal {

template <typename T>
struct Word;

template <typename T, ValType kVal>
struct IntegerWord {
  static constexpr ValType kType = kVal;
  static constexpr size_t kWords = 1;
  static void Store(T value, uint64_t* words) {
    words[0] =
        sizeof(T) == sizeof(uint32_t) ? static_cast<uint32_t>(value) : static_cast<uint64_t>(value);
  }
  static T Load(const uint64_t* words) { return static_cast<T>(words[0]); }
};
template <typename T, typename Bits, ValType kVal>
struct FloatWord {
  static constexpr ValType kType = kVal;
  static constexpr size_t kWords = 1;
  static void Store(T value, uint64_t* words) { words[0] = std::bit_cast<Bits>(value); }
  static T Load(const uint64_t* words) { return std::bit_cast<T>(static_cast<Bits>(words[0])); }
};
template <>
struct Word<int32_t> : IntegerWord<int32_t, ValType::kI32> {};
template <>
struct Word<uint32_t> : IntegerWord<uint32_t, ValType::kI32> {};
template <>
struct Word<int64_t> : IntegerWord<int64_t, ValType::kI64> {};
template <>
struct Word<uint64_t> : IntegerWord<uint64_t, ValType::kI64> {};
template <>
struct Word<float> : FloatWord<float, uint32_t, ValType::kF32> {};
template <>
struct Word<double> : FloatWord<double, uint64_t, ValType::kF64> {};
template <>
struct Word<V128> {
  static constexpr ValType kType = ValType::kV128;
  static constexpr size_t kWords = 2;
  static void Store(const V128& value, uint64_t* words) {
    std::memcpy(words, value.bytes.data(), value.bytes.size());
  }
  static V128 Load(const uint64_t* words) {
    V128 value;
    std::memcpy(value.bytes.data(), words, value.bytes.size());
    return value;
  }
};

template <typename... Ts>
struct WordsOf {
  static constexpr size_t kWords = (size_t{0} + ... + Word<Ts>::kWords);
  static std::vector<ValType> Types() { return {Word<Ts>::kType...}; }
  static void Store([[maybe_unused]] uint64_t* words, const Ts&... values) {
    ((Word<Ts>::Store(values, words), words += Word<Ts>::kWords), ...);
  }
  static std::tuple<Ts...> Load([[maybe_unused]] const uint64_t* words) {
    // Braces: evaluated from left to right.
    return std::tuple<Ts...>{Next<Ts>(words)...};
  }

 private:
  template <typename T>
  static T Next(const uint64_t*& words) {
    const T value = Word<T>::Load(words);
    words += Word<T>::kWords;
    return value;
  }
};

template <typename R>
struct ResultWords : WordsOf<R> {
  static R Load(const uint64_t* words) { return Word<R>::Load(words); }
};
template <>
struct ResultWords<void> : WordsOf<> {};
template <typename... Ts>
struct ResultWords<std::tuple<Ts...>> : WordsOf<Ts...> {};

template <typename Sig>
struct Signature;
template <typename R, typename... Args>
struct Signature<R(Args...)> {
  using Params = WordsOf<Args...>;
  using Results = ResultWords<R>;
  // Everything fits the slots.
  static constexpr bool kIsInline =
      Params::kWords <= ring::kInlineWords && Results::kWords <= ring::kInlineWords;
  static FuncType Type() { return {.params = Params::Types(), .results = Results::Types()}; }
};

// The same for types known at run time.
constexpr size_t WordsOfType(ValType type) {
  return type == ValType::kV128 ? 2 : 1;
}

}  // namespace wasmd::client::channel_internal

#endif  // WASMD_CLIENT_CPP_CHANNEL_WORDS_H_
