// The wasm features by their proposals' names, and which of them the engine takes.
#ifndef WASMD_ENGINE_WASM_FEATURES_H_
#define WASMD_ENGINE_WASM_FEATURES_H_

#include <cstdint>
#include <string_view>

namespace wasmd::engine {

// FEATURE(name, proposal's name, supported)
#define WASMD_FEATURES(FEATURE)                                  \
  FEATURE(Mvp, "mvp", true)                                      \
  FEATURE(MutableGlobals, "mutable-globals", true)               \
  FEATURE(SignExtension, "sign-extension", true)                 \
  FEATURE(SaturatingFloatToInt, "saturating-float-to-int", true) \
  FEATURE(MultiValue, "multi-value", true)                       \
  FEATURE(BulkMemory, "bulk-memory", true)                       \
  FEATURE(ReferenceTypes, "reference-types", true)               \
  FEATURE(Simd, "simd", false)                                   \
  FEATURE(RelaxedSimd, "relaxed-simd", false)                    \
  FEATURE(TailCall, "tail-call", true)                           \
  FEATURE(ExtendedConst, "extended-const", true)                 \
  FEATURE(MultiMemory, "multi-memory", true)                     \
  FEATURE(Memory64, "memory64", true)                            \
  FEATURE(Exceptions, "exception-handling", true)                \
  FEATURE(LegacyExceptions, "legacy-exceptions", false)          \
  FEATURE(FunctionReferences, "function-references", false)      \
  FEATURE(Gc, "gc", false)                                       \
  FEATURE(Threads, "threads", false)                             \
  FEATURE(CustomPageSizes, "custom-page-sizes", true)            \
  FEATURE(WideArithmetic, "wide-arithmetic", true)

enum class Feature : uint8_t {
#define FEATURE(name, text, supported) k##name,
  WASMD_FEATURES(FEATURE)
#undef FEATURE
};

constexpr std::string_view ToString(Feature feature) {
  switch (feature) {
#define FEATURE(name, text, supported) \
  case Feature::k##name:               \
    return text;
    WASMD_FEATURES(FEATURE)
#undef FEATURE
  }
  return "?";
}

constexpr bool IsSupported(Feature feature) {
  constexpr bool kSupported[] = {
#define FEATURE(name, text, supported) supported,
      WASMD_FEATURES(FEATURE)
#undef FEATURE
  };
  return kSupported[static_cast<uint8_t>(feature)];
}

// Which features modules may use: all supported ones, unless some are switched off. A plain value.
class FeatureSet {
 public:
  constexpr FeatureSet() {
#define FEATURE(name, text, supported) bits_ |= (supported) ? Bit(Feature::k##name) : 0;
    WASMD_FEATURES(FEATURE)
#undef FEATURE
  }
  constexpr bool Has(Feature feature) const { return (bits_ & Bit(feature)) != 0; }
  constexpr FeatureSet Without(Feature feature) const {
    FeatureSet rest = *this;
    rest.bits_ &= ~Bit(feature);
    return rest;
  }
  friend constexpr bool operator==(const FeatureSet&, const FeatureSet&) = default;

 private:
  static constexpr uint32_t Bit(Feature feature) {
    return uint32_t{1} << static_cast<uint8_t>(feature);
  }
  uint32_t bits_ = 0;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASM_FEATURES_H_
