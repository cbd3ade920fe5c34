// SteadyNow: a time of CLOCK_MONOTONIC, for how long something took and when it is due: the wall
// clock may be set meanwhile. Comparable with other SteadyNows alone, and not for people.
#ifndef WASMD_DAEMON_CONFIG_STEADY_TIME_H_
#define WASMD_DAEMON_CONFIG_STEADY_TIME_H_

#include <chrono>

#include "absl/time/time.h"

namespace wasmd::daemon {

inline absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_CONFIG_STEADY_TIME_H_
