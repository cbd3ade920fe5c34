// Compiled once a mode, with WASMD_MODE its function's name: an adapter's frame is what the
// compiler makes of it, and a failure leaves through it.
#include "tests/unit/engine/runtime/typed_host_mode.h"

#include <stdexcept>
#include <string>
#include <tuple>

namespace wasmd::engine {
namespace {

class Scope {
 public:
  Scope() { ++g_open_scopes; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { --g_open_scopes; }
};

}  // namespace

void WASMD_MODE(Linker& linker);

void WASMD_MODE(Linker& linker) {
  linker.DefineTyped("host", "add", [](int32_t a, int32_t b) { return a + b; });
  linker.DefineTyped(
      "host", "sum",
      [](int64_t a, double u, int64_t b, double v, int64_t c, double w, int64_t d, double x,
         int64_t e, double y, int64_t f, double z, int64_t g, double p, double q, double r) {
        return static_cast<double>(a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g) + u + 2 * v +
               3 * w + 4 * x + 5 * y + 6 * z + 7 * p + 8 * q + 9 * r;
      });
  linker.DefineTyped("host", "pair", [](float a, double b) { return std::tuple(a, b); });
  linker.DefineTyped("host", "cross", [](int32_t a, double b) { return std::tuple(b, a); });
  linker.DefineTyped("host", "wide", [](int32_t a, int64_t b, float c, double d, int64_t e) {
    return std::tuple(a, b, c, d, e);
  });
  linker.DefineTyped("host", "aligned", [](int32_t n) -> HostResultOr<int32_t> {
    const Scope scope;
    alignas(64) volatile int32_t values[64];
    if (reinterpret_cast<uint64_t>(&values) % 64 != 0) {
      return HostResult::Error("the frame is not aligned");
    }
    values[n & 63] = n;
    if (n == 0) {
      return HostResult::Trap(TrapCode::kDivideByZero);
    }
    return values[n & 63] + 1;
  });
  linker.DefineTyped("host", "wide_or",
                     [](int32_t n) -> HostResultOr<std::tuple<int32_t, float, int64_t>> {
                       const Scope scope;
                       if (n == 0) {
                         return HostResult::Trap(TrapCode::kDivideByZero);
                       }
                       return std::tuple(n, static_cast<float>(n) / 2, -int64_t{n});
                     });
  linker.DefineTyped("host", "fails", [](int32_t n) -> HostResult {
    const Scope scope;
    std::string message = "told by " + std::to_string(n);
#ifdef __cpp_exceptions
    throw std::runtime_error(message);
#else
    return HostResult::Error(std::move(message));
#endif
  });
  linker.DefineTyped("host", "exits", [](int32_t n) -> HostResult {
    const Scope scope;
    return HostResult::Exit(static_cast<uint32_t>(n));
  });
}

}  // namespace wasmd::engine
