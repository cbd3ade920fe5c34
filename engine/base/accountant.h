// Accountant: who is asked before something is taken on a guest's behalf (bytes of memory, open
// files), and told when it is given back. The engine asks; its embedder decides, and may so bound
// what several stores take together.
#ifndef WASMD_ENGINE_BASE_ACCOUNTANT_H_
#define WASMD_ENGINE_BASE_ACCOUNTANT_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace wasmd::engine {

// A limit as errors name it.
struct NamedLimit {
  std::string_view name;  // Of static storage: "--max-memory".
  uint64_t amount = 0;
  friend bool operator==(const NamedLimit&, const NamedLimit&) = default;
};

// Thread-safe: asked from the threads of all stores that share it.
class Accountant {
 public:
  Accountant() = default;
  Accountant(const Accountant&) = delete;
  Accountant& operator=(const Accountant&) = delete;
  virtual ~Accountant() = default;

  // nullopt: charged. Otherwise nothing is, and this is the limit that forbids it.
  virtual std::optional<NamedLimit> Charge(uint64_t amount) = 0;
  // Gives back what was charged, or a part of it.
  virtual void Release(uint64_t amount) = 0;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BASE_ACCOUNTANT_H_
