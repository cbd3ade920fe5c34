#include "daemon/session/scratch_maker.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "daemon/config/text.h"
#include "engine/base/unique_fd.h"

namespace wasmd::daemon {
namespace {

using engine::UniqueFd;

// The maker answers within a millisecond; one that does not is broken.
constexpr timeval kAnswerTimeout = {5, 0};
constexpr uint64_t kBytesPerName = uint64_t{16} << 10;
constexpr uint64_t kMinNames = 64;

struct Request {
  uint64_t size_bytes = 0;
  uint64_t names = 0;
};
// With the descriptor, if `error` is 0.
struct Answer {
  int32_t error = 0;
};
using Control = std::array<char, CMSG_SPACE(sizeof(int))>;

// ---- The maker's side: one thread, nothing of the daemon's but this socket.

bool WriteFile(const char* path, const std::string& text) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Into namespaces in which we may mount. Files are the daemon's: its user and group are the only
// ones that have a name there. 0, or an errno; without them mounting may still work, for root.
int EnterNamespaces() {
  const std::string user = StrCat(::geteuid(), " ", ::geteuid(), " 1");
  const std::string group = StrCat(::getegid(), " ", ::getegid(), " 1");
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    return errno;
  }
  if (!WriteFile("/proc/self/setgroups", "deny") || !WriteFile("/proc/self/uid_map", user) ||
      !WriteFile("/proc/self/gid_map", group)) {
    return errno;
  }
  return 0;
}

// An errno, or 0.
int Mount(const Request& request, UniqueFd& directory) {
  const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context) {
    return errno;
  }
  // One more: the directory itself is counted.
  const std::string names = StrCat(request.names + 1);
  const std::string size = StrCat(request.size_bytes);
  for (const auto& [key, value] :
       {std::pair("size", size.c_str()), std::pair("nr_inodes", names.c_str()),
        std::pair("mode", "700")}) {
    if (::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value, 0) != 0) {
      return errno;
    }
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return errno;
  }
  directory.reset(::fsmount(context.get(), FSMOUNT_CLOEXEC,
                            MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  return directory ? 0 : errno;
}

bool Send(int socket, Answer answer, int descriptor) {
  iovec part = {&answer, sizeof(answer)};
  alignas(cmsghdr) Control control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  }
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(answer));
}

[[noreturn]] void Serve(int socket) {
  ::prctl(PR_SET_NAME, "wasmd-scratch");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // The daemon's standard streams end with the daemon, so we keep none of them, nor anything else.
  const int null = ::open("/dev/null", O_RDWR);
  constexpr int kSocket = 3;
  for (int fd = 0; fd < kSocket; ++fd) {
    if (null < 0 || ::dup2(null, fd) < 0) {
      ::close(fd);
    }
  }
  ::dup2(socket, kSocket);
  if (::close_range(kSocket + 1, ~0U, 0) != 0) {
    for (int fd = kSocket + 1; fd < 65536; ++fd) {
      ::close(fd);
    }
  }
  const int no_namespaces = EnterNamespaces();
  Request request;
  while (::recv(kSocket, &request, sizeof(request), 0) == static_cast<ssize_t>(sizeof(request))) {
    UniqueFd directory;
    Answer answer;
    answer.error = Mount(request, directory);
    if (answer.error == EPERM && no_namespaces != 0) {
      answer.error = no_namespaces;
    }
    if (!Send(kSocket, answer, directory.get())) {
      break;
    }
  }
  ::_exit(0);
}

// ---- The daemon's side.

absl::Status Gone() {
  return absl::UnavailableError("the process that makes scratch directories has gone");
}

}  // namespace

uint64_t ScratchMaker::MaxNames(uint64_t size_bytes) {
  return std::max(kMinNames, size_bytes / kBytesPerName);
}

ScratchMaker::ScratchMaker(pid_t process, UniqueFd socket)
    : process_(process), socket_(std::move(socket)) {}

absl::StatusOr<std::unique_ptr<ScratchMaker>> ScratchMaker::Start() {
  int ends[2] = {};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return absl::ResourceExhaustedError(StrCat("no socket: ", std::strerror(errno)));
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  static_cast<void>(std::fflush(nullptr));
  const pid_t process = ::fork();
  if (process < 0) {
    return absl::ResourceExhaustedError(StrCat("no process: ", std::strerror(errno)));
  }
  if (process == 0) {
    Serve(theirs.get());
  }
  ::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeout, sizeof(kAnswerTimeout));
  return std::unique_ptr<ScratchMaker>(new ScratchMaker(process, std::move(ours)));
}

ScratchMaker::~ScratchMaker() {
  {
    const absl::MutexLock lock(&mutex_);
    socket_.reset();  // Ends it.
  }
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

absl::StatusOr<UniqueFd> ScratchMaker::Make(uint64_t size_bytes) {
  // A tmpfs of size 0 would have no bound.
  const Request request = {std::max<uint64_t>(size_bytes, 1), MaxNames(size_bytes)};
  Answer answer;
  iovec part = {&answer, sizeof(answer)};
  alignas(cmsghdr) Control control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  {
    const absl::MutexLock lock(&mutex_);
    if (!socket_) {
      return Gone();
    }
    ssize_t got = -1;
    if (::send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(sizeof(request))) {
      do {
        got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
      } while (got < 0 && errno == EINTR);
    }
    if (got != static_cast<ssize_t>(sizeof(answer))) {
      // An answer that came late would be taken for the next one's.
      socket_.reset();
      return Gone();
    }
  }
  if (answer.error != 0) {
    return absl::FailedPreconditionError(
        StrCat("this system lets the daemon make no scratch directory: ",
               std::strerror(answer.error)));  // NOLINT(concurrency-mt-unsafe)
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return absl::ResourceExhaustedError("no descriptor for a scratch directory");
  }
  int directory = -1;
  std::memcpy(&directory, CMSG_DATA(header), sizeof(directory));
  return UniqueFd(directory);
}

}  // namespace wasmd::daemon
