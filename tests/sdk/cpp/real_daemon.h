// A real wasmd ($WASMD names it) on a unix socket of its own, for the client's end-to-end tests.
#ifndef WASMD_TESTS_SDK_CPP_REAL_DAEMON_H_
#define WASMD_TESTS_SDK_CPP_REAL_DAEMON_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace wasmd::client {

class RealDaemon {
 public:
  // Returns when it serves. Aborts, with what it said, if it does not.
  explicit RealDaemon(const std::vector<std::string>& options = {});
  // Kills it.
  ~RealDaemon();

  RealDaemon(const RealDaemon&) = delete;
  RealDaemon& operator=(const RealDaemon&) = delete;

  std::string address() const { return "unix:" + folder_ + "/s"; }
  void Kill();

 private:
  std::string folder_;
  pid_t pid_ = -1;
};

}  // namespace wasmd::client

#endif  // WASMD_TESTS_SDK_CPP_REAL_DAEMON_H_
