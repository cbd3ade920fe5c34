// What a channel needs beside its ring: the session's RPCs. Internal to client/cpp; Core's is made
// by MakeChannelBackend, and tests have their own.
#ifndef WASMD_CLIENT_CPP_CHANNEL_BACKEND_H_
#define WASMD_CLIENT_CPP_CHANNEL_BACKEND_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "client/cpp/channel_options.h"
#include "client/cpp/channel_result.h"
#include "client/cpp/client.h"
#include "client/cpp/outcome.h"
#include "client/cpp/ring_connection.h"
#include "client/cpp/value.h"

namespace wasmd::client {

class Core;

// A module, or an instance of the session.
struct CallTarget {
  std::string module;  // Empty: it is an instance.
  uint64_t instance = 0;
};

// Single-thread. Keeps the session alive.
class ChannelBackend {
 public:
  struct Binding {
    uint32_t func = 0;
    FuncType type;
    std::optional<Outcome> outcome;  // Of a start function that did not return; nothing is bound.
  };
  struct Report {
    std::optional<Outcome> outcome;
    std::string error;  // Where there is no outcome.
  };

  ChannelBackend() = default;
  ChannelBackend(const ChannelBackend&) = delete;
  ChannelBackend& operator=(const ChannelBackend&) = delete;
  virtual ~ChannelBackend() = default;

  // Any error: there is no ring to be had, and why.
  virtual absl::StatusOr<std::unique_ptr<RingConnection>> Attach(const RingOptions& options) = 0;
  virtual absl::StatusOr<Binding> Bind(uint64_t channel, const CallTarget& target,
                                       InstancePolicy policy, std::string_view func, bool bytes,
                                       const Control& control) = 0;
  virtual absl::StatusOr<Report> GetReport(uint64_t channel, uint64_t report,
                                           const Control& control) = 0;

  // ---- Where there is no ring

  // kNotFound: no such module, instance or function.
  virtual absl::StatusOr<FuncType> FindFunc(const CallTarget& target, std::string_view func,
                                            const Control& control) = 0;
  // kAborted: the start function did not return.
  virtual absl::StatusOr<uint64_t> Instantiate(std::string_view module, const Control& control) = 0;
  // Does not wait.
  virtual void Drop(uint64_t instance) = 0;
  virtual absl::StatusOr<CallResult> Call(const CallTarget& target, std::string_view func,
                                          std::span<const Value> args, const Control& control) = 0;
  virtual absl::StatusOr<BytesResult> CallBytes(const CallTarget& target, std::string_view func,
                                                std::string_view input, const Control& control) = 0;
};

// kAborted, with how the start function ended.
absl::Status StartFailed(const Outcome& outcome);

std::unique_ptr<ChannelBackend> MakeChannelBackend(std::shared_ptr<Core> core);

}  // namespace wasmd::client

#endif  // WASMD_CLIENT_CPP_CHANNEL_BACKEND_H_
