// A child process that confines itself and tries things: what is put in force is for good.
#ifndef WASMD_TESTS_UNIT_DAEMON_SANDBOX_IN_CHILD_H_
#define WASMD_TESTS_UNIT_DAEMON_SANDBOX_IN_CHILD_H_

#include <functional>
#include <string>
#include <string_view>

namespace wasmd::daemon {

// What happened to a child.
struct ChildEnd {
  int signal = 0;     // That ended it; 0: it ended by itself.
  std::string lines;  // What it said.
};

// Tells the parent a line; works until the child ends, whatever has been forbidden but write.
using Say = std::function<void(std::string_view line)>;
// Runs `body` in a child.
ChildEnd InChild(const std::function<void(const Say& say)>& body);

// "ok", or the name of the error that a call which returns -1 has left in errno: "EPERM".
std::string Errno(long result);

}  // namespace wasmd::daemon

#endif  // WASMD_TESTS_UNIT_DAEMON_SANDBOX_IN_CHILD_H_
