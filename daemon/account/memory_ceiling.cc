#include "daemon/account/memory_ceiling.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "daemon/config/text.h"

namespace wasmd::daemon {
namespace {

// A daemon that has served a few clients and holds no guest takes 50 to 90 MiB.
constexpr uint64_t kOwnBytes = uint64_t{96} << 20;

std::vector<std::string> LinesOf(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    lines.push_back(std::move(line));
  }
  return lines;
}

// A mount of a cgroup hierarchy: which of its directories is seen where.
struct Mount {
  std::string root;   // "/", or "/user.slice" where a part of the hierarchy is mounted.
  std::string point;  // "/sys/fs/cgroup"
};

// Spec: proc(5), /proc/pid/mountinfo: "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
std::optional<Mount> FindMount(const std::string& root, std::string_view type,
                               std::string_view controller) {
  for (const std::string& line : LinesOf(StrCat(root, "/proc/self/mountinfo"))) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 5 || words.end() - dash < 4 || dash[1] != type) {
      continue;
    }
    const std::vector<std::string> options = absl::StrSplit(dash[3], ',');
    if (controller.empty() || std::ranges::find(options, controller) != options.end()) {
      return Mount{words[3], words[4]};
    }
  }
  return std::nullopt;
}

// The process's directory in the hierarchy of `controller`; empty: version 2's.
// Spec: cgroups(7), /proc/pid/cgroup: "0::/system.slice/wasmd.service", "4:memory:/docker/1234"
std::optional<std::string> FindPath(const std::string& root, std::string_view controller) {
  for (const std::string& line : LinesOf(StrCat(root, "/proc/self/cgroup"))) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) {
      continue;
    }
    const std::vector<std::string> controllers = absl::StrSplit(parts[1], ',');
    if (controller.empty() ? parts[0] == "0" && parts[1].empty()
                           : std::ranges::find(controllers, controller) != controllers.end()) {
      return parts[2];
    }
  }
  return std::nullopt;
}

// The lowest limit of the process's cgroup and of those around it.
void LowerTo(const std::string& root, std::string_view type, std::string_view controller,
             std::string_view file, MemoryCeiling& ceiling) {
  const std::optional<Mount> mount = FindMount(root, type, controller);
  const std::optional<std::string> path = FindPath(root, controller);
  if (!mount.has_value() || !path.has_value()) {
    return;
  }
  // From the mount's root on. A path outside of it is another namespace's: what is mounted is ours.
  std::string below = *path;
  if (mount->root != "/") {
    below = absl::StartsWith(below, mount->root) ? below.substr(mount->root.size()) : "";
  }
  for (;;) {
    while (!below.empty() && below.back() == '/') {
      below.pop_back();
    }
    const std::string limit = StrCat(mount->point, below, "/", file);
    const std::vector<std::string> lines = LinesOf(StrCat(root, limit));
    uint64_t bytes = 0;  // "max" is no number.
    if (!lines.empty() && absl::SimpleAtoi(lines[0], &bytes) && bytes != 0 &&
        bytes < ceiling.system_bytes) {
      ceiling.system_bytes = bytes;
      ceiling.source = limit;
    }
    if (below.empty()) {
      return;
    }
    below.resize(below.rfind('/') == std::string::npos ? 0 : below.rfind('/'));
  }
}

uint64_t MachineBytes(const std::string& root) {
  for (const std::string& line : LinesOf(StrCat(root, "/proc/meminfo"))) {
    absl::string_view number = line;
    uint64_t kilobytes = 0;
    if (absl::ConsumePrefix(&number, "MemTotal:") && absl::ConsumeSuffix(&number, "kB") &&
        absl::SimpleAtoi(number, &kilobytes)) {
      return kilobytes * 1024;
    }
  }
  return UINT64_MAX;
}

}  // namespace

uint64_t GuestShareOf(uint64_t system_bytes) {
  if (system_bytes == UINT64_MAX) {
    return UINT64_MAX;
  }
  const uint64_t own = kOwnBytes + system_bytes / 16;
  return std::max(system_bytes / 2, system_bytes - std::min(own, system_bytes));
}

MemoryCeiling ReadMemoryCeiling(const std::string& root) {
  MemoryCeiling ceiling;
  ceiling.system_bytes = MachineBytes(root);
  ceiling.source = "the machine's memory";
  LowerTo(root, "cgroup2", "", "memory.max", ceiling);
  LowerTo(root, "cgroup", "memory", "memory.limit_in_bytes", ceiling);
  ceiling.guest_bytes = GuestShareOf(ceiling.system_bytes);
  return ceiling;
}

}  // namespace wasmd::daemon
