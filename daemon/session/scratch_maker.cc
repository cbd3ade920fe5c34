#include "daemon/session/scratch_maker.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

using engine::UniqueFd;

struct ScratchMaker::Request {
  enum class What : uint32_t { kMake, kGiveBack };
  What what = What::kMake;
  uint64_t size_bytes = 0;
  uint64_t names = 0;
  uint64_t number = 0;  // kGiveBack, which has no answer.
};
// With a descriptor, if `error` is 0.
struct ScratchMaker::Answer {
  int32_t error = 0;
  uint64_t number = 0;
};

namespace {

// The maker answers within a millisecond; one that does not is broken.
constexpr timeval kAnswerTimeout = {5, 0};
constexpr uint64_t kBytesPerName = uint64_t{16} << 10;
constexpr uint64_t kMinNames = 64;

using Control = std::array<char, CMSG_SPACE(sizeof(int))>;

absl::Status Gone() {
  return absl::UnavailableError("the process that makes scratch directories has gone");
}

bool WriteFile(const char* path, const std::string& text) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Into namespaces in which we may mount. Files are the daemon's: its user and group are the only
// ones that have a name there. 0, or an errno; root may mount all the same. `own_mounts`: what is
// attached concerns nobody else.
int EnterNamespaces(bool& own_mounts) {
  const std::string user = StrCat(::geteuid(), " ", ::geteuid(), " 1");
  const std::string group = StrCat(::getegid(), " ", ::getegid(), " 1");
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    const int error = errno;
    own_mounts = ::unshare(CLONE_NEWNS) == 0;
    return error;
  }
  own_mounts = true;
  if (!WriteFile("/proc/self/setgroups", "deny") || !WriteFile("/proc/self/uid_map", user) ||
      !WriteFile("/proc/self/gid_map", group)) {
    return errno;
  }
  return 0;
}

// A tmpfs that is attached nowhere. An errno, or 0.
int MountTmpfs(uint64_t size_bytes, uint64_t names, UniqueFd& directory) {
  const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context) {
    return errno;
  }
  // One more: the directory itself is counted.
  const std::string nr_inodes = StrCat(names + 1);
  const std::string size = StrCat(size_bytes);
  for (const auto& [key, value] :
       {std::pair("size", size.c_str()), std::pair("nr_inodes", nr_inodes.c_str()),
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

}  // namespace

// ---- The maker's side: one thread, nothing of the daemon's but the socket.

class ScratchMaker::Process {
 public:
  [[noreturn]] static void Serve(int socket) {
    ::prctl(PR_SET_NAME, "wasmd-scratch");
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    // The daemon's standard streams end with the daemon, so we keep none of them, nor anything
    // else.
    const int null = ::open("/dev/null", O_RDWR);
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
    Process().Run();
    ::_exit(0);
  }

 private:
  static constexpr int kSocket = 3;
  static constexpr uint64_t kMaxDirectories = 65536;

  void Run() {
    bool own_mounts = false;
    no_namespaces_ = EnterNamespaces(own_mounts);
    if (own_mounts) {
      Attach();
    }
    if (!Send({}, parent_.get())) {
      return;
    }
    Request request;
    while (::recv(kSocket, &request, sizeof(request), 0) == static_cast<ssize_t>(sizeof(request))) {
      if (request.what == Request::What::kGiveBack) {
        GiveBack(request.number);
        continue;
      }
      UniqueFd directory;
      Answer answer;
      answer.number = next_;
      answer.error = Make(request, directory);
      if (!Send(answer, directory.get())) {
        return;
      }
    }
  }

  // Makes the directory above all, over the root of our own namespace.
  void Attach() {
    UniqueFd parent;
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
        MountTmpfs(4096, kMaxDirectories, parent) == 0 &&
        ::move_mount(parent.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
        ::fchdir(parent.get()) == 0) {
      parent_ = std::move(parent);
    }
  }

  // An errno, or 0.
  int Make(const Request& request, UniqueFd& directory) {
    const std::string name = StrCat(next_++);
    if (const int error = MountTmpfs(request.size_bytes, request.names, directory); error != 0) {
      return error == EPERM && no_namespaces_ != 0 ? no_namespaces_ : error;
    }
    if (parent_ && (::mkdirat(parent_.get(), name.c_str(), 0700) != 0 ||
                    ::move_mount(directory.get(), "", parent_.get(), name.c_str(),
                                 MOVE_MOUNT_F_EMPTY_PATH) != 0)) {
      const int error = errno;
      ::unlinkat(parent_.get(), name.c_str(), AT_REMOVEDIR);
      directory.reset();
      return error;
    }
    return 0;
  }

  void GiveBack(uint64_t number) const {
    if (parent_) {  // It is our working directory.
      const std::string name = StrCat(number);
      ::umount2(name.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
      ::unlinkat(parent_.get(), name.c_str(), AT_REMOVEDIR);
    }
  }

  static bool Send(Answer answer, int descriptor) {
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
    return ::sendmsg(kSocket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(answer));
  }

  int no_namespaces_ = 0;  // Or an errno.
  uint64_t next_ = 0;
  UniqueFd parent_;
};

// ---- The daemon's side.

ScratchDirectory::~ScratchDirectory() {
  if (maker_ != nullptr) {
    directory_.reset();
    maker_->GiveBack(number_);
  }
}

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
    Process::Serve(theirs.get());
  }
  theirs.reset();
  ::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeout, sizeof(kAnswerTimeout));
  std::unique_ptr<ScratchMaker> maker(new ScratchMaker(process, std::move(ours)));
  Answer ready;
  const absl::MutexLock lock(&maker->mutex_);
  static_cast<void>(maker->Receive(ready, maker->parent_));  // If it has gone, Make says so.
  return maker;
}

ScratchMaker::~ScratchMaker() {
  {
    const absl::MutexLock lock(&mutex_);
    socket_.reset();  // Ends it.
  }
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool ScratchMaker::Receive(Answer& answer, UniqueFd& descriptor) {
  iovec part = {&answer, sizeof(answer)};
  alignas(cmsghdr) Control control = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof(answer))) {
    // An answer that came late would be taken for the next one's.
    socket_.reset();
    return false;
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int received = -1;
    std::memcpy(&received, CMSG_DATA(header), sizeof(received));
    descriptor.reset(received);
  }
  return true;
}

absl::StatusOr<ScratchDirectory> ScratchMaker::Make(uint64_t size_bytes) {
  Request request;
  request.size_bytes = std::max<uint64_t>(size_bytes, 1);  // A tmpfs of size 0 has no bound.
  request.names = MaxNames(size_bytes);
  Answer answer;
  UniqueFd directory;
  {
    const absl::MutexLock lock(&mutex_);
    if (!socket_ ||
        ::send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(sizeof(request)) ||
        !Receive(answer, directory)) {
      return Gone();
    }
  }
  if (answer.error != 0) {
    return absl::FailedPreconditionError(
        StrCat("this system lets the daemon make no scratch directory: ",
               std::strerror(answer.error)));  // NOLINT(concurrency-mt-unsafe)
  }
  ScratchDirectory made(this, answer.number, std::move(directory));
  if (!made.directory_) {
    return absl::ResourceExhaustedError("no descriptor for a scratch directory");
  }
  return made;
}

void ScratchMaker::GiveBack(uint64_t number) {
  Request request;
  request.what = Request::What::kGiveBack;
  request.number = number;
  const absl::MutexLock lock(&mutex_);
  if (socket_) {
    static_cast<void>(::send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL));
  }
}

}  // namespace wasmd::daemon
