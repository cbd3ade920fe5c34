#include "tests/unit/daemon/sandbox/in_child.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/unique_fd.h"

namespace wasmd::daemon {

ChildEnd InChild(const std::function<void(const Say& say)>& body) {
  int ends[2];
  WASMD_CHECK(::pipe(ends) == 0);
  engine::UniqueFd from(ends[0]);
  engine::UniqueFd to(ends[1]);
  const pid_t child = ::fork();
  WASMD_CHECK(child >= 0);
  if (child == 0) {
    from.reset();
    body([&to](std::string_view line) {
      const std::string text = std::string(line) + "\n";
      WASMD_CHECK(::write(to.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    });
    ::_exit(0);
  }
  to.reset();
  ChildEnd end;
  std::array<char, 4096> piece{};
  ssize_t count = 0;
  while ((count = ::read(from.get(), piece.data(), piece.size())) > 0) {
    end.lines.append(piece.data(), static_cast<size_t>(count));
  }
  int status = 0;
  WASMD_CHECK(::waitpid(child, &status, 0) == child);
  end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return end;
}

std::string Errno(long result) {
  return result >= 0 ? "ok" : ::strerrorname_np(errno);
}

}  // namespace wasmd::daemon
