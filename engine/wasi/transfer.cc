#include "engine/wasi/transfer.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "engine/wasi/abi.h"

namespace wasmd::engine {
namespace {

static_assert(Iovecs::kMaxIovecs == IOV_MAX);

// Writing to a pipe that nobody reads raises SIGPIPE. A process that left it at its default would
// die of a guest's write, so the signal is kept from such a process: blocked in this thread, and
// taken back if our write raised it.
class SigpipeGuard {
 public:
  SigpipeGuard() {
    struct sigaction action = {};
    ::sigaction(SIGPIPE, nullptr, &action);
    if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) {
      return;
    }
    sigset_t pending;
    ::sigpending(&pending);
    if (sigismember(&pending, SIGPIPE) == 1) {
      return;
    }
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    active_ = ::pthread_sigmask(SIG_BLOCK, &sigpipe, &previous_) == 0;
  }
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;
  ~SigpipeGuard() {
    if (!active_) {
      return;
    }
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    const timespec now = {};
    while (::sigtimedwait(&sigpipe, nullptr, &now) < 0 && errno == EINTR) {
    }
    ::pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
  }

 private:
  bool active_ = false;
  sigset_t previous_ = {};
};

// The longest write that a pipe which polls writable takes at once.
constexpr size_t kPollWriteBytes = PIPE_BUF;

// One system call. Returns bytes, or a negative errno.
ssize_t Call(bool write, int fd, const iovec* iovecs, int count, std::optional<int64_t> offset,
             int flags) {
  ssize_t result = 0;
  if (offset.has_value()) {
    result = write ? ::pwritev2(fd, iovecs, count, *offset, flags)
                   : ::preadv2(fd, iovecs, count, *offset, flags);
  } else if (flags != 0) {
    result =
        write ? ::pwritev2(fd, iovecs, count, -1, flags) : ::preadv2(fd, iovecs, count, -1, flags);
  } else {
    result = write ? ::writev(fd, iovecs, count) : ::readv(fd, iovecs, count);
  }
  return result < 0 ? -errno : result;
}

// What one system call of a regular file may transfer: no signal ends it before that is done.
constexpr size_t kPieceBytes = 16 << 20;

// As Call, of what never waits; in pieces where it is much. -EINTR: the guest was interrupted.
ssize_t CallInPieces(bool write, const Guest& guest, int fd, Iovecs& iovecs,
                     std::optional<int64_t> offset) {
  const std::span<const iovec> entries(iovecs.data(), static_cast<size_t>(iovecs.count()));
  size_t total = 0;
  for (const iovec& entry : entries) {
    total += entry.iov_len;
  }
  if (total <= kPieceBytes) {
    return Call(write, fd, iovecs.data(), iovecs.count(), offset, 0);
  }
  ssize_t done = 0;
  for (const iovec& entry : entries) {
    for (size_t at = 0; at < entry.iov_len;) {
      const iovec piece = {static_cast<std::byte*>(entry.iov_base) + at,
                           std::min(entry.iov_len - at, kPieceBytes)};
      const std::optional<int64_t> place =
          offset.has_value() ? std::optional(*offset + done) : std::nullopt;
      const ssize_t result = Call(write, fd, &piece, 1, place, 0);
      if (result < 0) {
        return done != 0 ? done : result;
      }
      done += result;
      at += piece.iov_len;
      if (guest.interrupted()) {
        return -EINTR;
      }
      if (static_cast<size_t>(result) < piece.iov_len) {
        return done;
      }
    }
  }
  return done;
}

// The same for a socket, whatever mode its description is in. Never waits and raises no SIGPIPE.
ssize_t SocketCall(bool write, int fd, iovec* iovecs, int count, int flags) {
  msghdr message = {};
  message.msg_iov = iovecs;
  message.msg_iovlen = static_cast<size_t>(count);
  const ssize_t result = write ? ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL | flags)
                               : ::recvmsg(fd, &message, MSG_DONTWAIT | flags);
  return result < 0 ? -errno : result;
}

// As Call, but waits with an eye on the interrupt. kSuccess: `size_bytes` went over.
// `message_flags` are a socket's: MSG_PEEK.
Answer CallOrWait(bool write, Guest& guest, Descriptor& descriptor, Iovecs& iovecs,
                  std::optional<int64_t> offset, uint32_t& size_bytes, int message_flags = 0) {
  const int fd = descriptor.fd.get();
  const short events = write ? POLLOUT : POLLIN;
  const bool is_socket = descriptor.kind == DescriptorKind::kSocket;
  if (iovecs.empty()) {  // Never waits, but says whether the descriptor is open for it.
    if (is_socket) {
      return Errno::kSuccess;
    }
    const ssize_t result = Call(write, fd, iovecs.data(), 0, offset, 0);
    return result < 0 ? ErrnoOfHost(static_cast<int>(-result)) : Errno::kSuccess;
  }
  while (true) {
    ssize_t result = 0;
    if (is_socket) {
      result = SocketCall(write, fd, iovecs.data(), iovecs.count(), message_flags);
    } else if (!descriptor.may_block) {
      result = CallInPieces(write, guest, fd, iovecs, offset);
    } else if (!descriptor.no_nowait) {
      result = Call(write, fd, iovecs.data(), iovecs.count(), offset, RWF_NOWAIT);
      if (result == -EOPNOTSUPP) {
        descriptor.no_nowait = true;
        continue;
      }
    } else {
      if (!descriptor.nonblock) {
        WASMD_WASI_RETURN_IF_NOT_OK(WaitFor(guest, fd, events));
      } else {
        pollfd ready = {fd, events, 0};
        if (::poll(&ready, 1, 0) == 0) {
          return Errno::kAgain;
        }
      }
      // A short one, so that a write which polled possible doesn't block.
      const std::span<std::byte> front = iovecs.front();
      const iovec piece = {front.data(),
                           write ? std::min(front.size(), kPollWriteBytes) : front.size()};
      result = Call(write, fd, &piece, 1, offset, 0);
    }
    if (result >= 0) {
      size_bytes = static_cast<uint32_t>(result);
      return Errno::kSuccess;
    }
    if (result == -EAGAIN) {
      if (descriptor.nonblock) {
        return Errno::kAgain;
      }
      WASMD_WASI_RETURN_IF_NOT_OK(WaitFor(guest, fd, events));
    } else if (result == -EINTR) {
      if (guest.interrupted()) {
        return Answer::Interrupted();
      }
    } else {
      return ErrnoOfHost(static_cast<int>(-result));
    }
  }
}

Answer ErrnoOf(WasiStreamState state) {
  return state == WasiStreamState::kClosed ? Errno::kPipe : Errno::kIo;
}

Answer ReadStream(Guest& guest, WasiInputStream& stream, Iovecs& iovecs, uint32_t& size_bytes) {
  size_bytes = 0;
  while (!iovecs.empty()) {
    const WasiStreamResult result = stream.TryRead(iovecs.front());
    switch (result.state) {
      case WasiStreamState::kOk:
        size_bytes += static_cast<uint32_t>(result.size_bytes);
        iovecs.Advance(result.size_bytes);
        break;
      case WasiStreamState::kWouldBlock:
        if (size_bytes != 0) {
          return Errno::kSuccess;
        }
        WASMD_WASI_RETURN_IF_NOT_OK(WaitFor(guest, stream.ready_fd(), POLLIN));
        break;
      case WasiStreamState::kClosed:
        return Errno::kSuccess;
      case WasiStreamState::kFailed:
        return size_bytes != 0 ? Answer(Errno::kSuccess) : ErrnoOf(result.state);
    }
  }
  return Errno::kSuccess;
}

Answer WriteStream(Guest& guest, WasiOutputStream& stream, Iovecs& iovecs, uint32_t& size_bytes) {
  size_bytes = 0;
  while (!iovecs.empty()) {
    const WasiStreamResult result = stream.TryWrite(iovecs.front());
    switch (result.state) {
      case WasiStreamState::kOk:
        size_bytes += static_cast<uint32_t>(result.size_bytes);
        iovecs.Advance(result.size_bytes);
        break;
      case WasiStreamState::kWouldBlock:
        WASMD_WASI_RETURN_IF_NOT_OK(WaitFor(guest, stream.ready_fd(), POLLIN));
        break;
      case WasiStreamState::kClosed:
      case WasiStreamState::kFailed:
        // What was taken before is told now, the error with the next call.
        return size_bytes != 0 ? Answer(Errno::kSuccess) : ErrnoOf(result.state);
    }
  }
  return Errno::kSuccess;
}

}  // namespace

Answer Iovecs::Load(Guest& guest, uint32_t array, uint32_t count) {
  std::span<std::byte> range;
  if (!guest.Range(array, uint64_t{count} * sizeof(abi::Iovec), range, alignof(abi::Iovec))) {
    return guest.fault();
  }
  uint64_t room = kMaxTransferBytes;
  first_ = 0;
  count_ = 0;
  for (uint32_t i = 0; i < std::min(count, kMaxIovecs); ++i) {
    abi::Iovec entry = {};
    std::span<std::byte> bytes;
    if (!guest.Load(uint64_t{array} + i * sizeof(entry), entry) ||
        !guest.Range(entry.buf, entry.buf_len, bytes)) {
      return guest.fault();
    }
    const size_t size_bytes = std::min<uint64_t>(bytes.size(), room);
    if (size_bytes != 0) {
      entries_[count_++] = {bytes.data(), size_bytes};
      room -= size_bytes;
    }
  }
  return Errno::kSuccess;
}

std::span<std::byte> Iovecs::front() const {
  return {static_cast<std::byte*>(entries_[first_].iov_base), entries_[first_].iov_len};
}

void Iovecs::Advance(uint64_t size_bytes) {
  while (size_bytes != 0 && first_ < count_) {
    iovec& entry = entries_[first_];
    const size_t step = std::min<uint64_t>(size_bytes, entry.iov_len);
    entry.iov_base = static_cast<std::byte*>(entry.iov_base) + step;
    entry.iov_len -= step;
    size_bytes -= step;
    if (entry.iov_len == 0) {
      ++first_;
    }
  }
}

Answer WaitFor(Guest& guest, int fd, short events) {
  while (true) {
    // poll skips a negative descriptor.
    pollfd polled[2] = {{fd, events, 0}, {guest.interrupt_fd(), POLLIN, 0}};
    if (::poll(polled, 2, -1) < 0) {
      if (errno != EINTR) {
        return ErrnoOfHost(errno);
      }
      if (guest.interrupted()) {
        return Answer::Interrupted();
      }
      continue;
    }
    if (polled[1].revents != 0) {
      return Answer::Interrupted();
    }
    if (polled[0].revents != 0) {
      return Errno::kSuccess;
    }
  }
}

Answer Read(Guest& guest, Descriptor& from, Iovecs& iovecs, std::optional<int64_t> offset,
            uint32_t& size_bytes) {
  size_bytes = 0;
  if (from.input != nullptr) {
    return ReadStream(guest, *from.input, iovecs, size_bytes);
  }
  if (!from.fd) {
    return Errno::kSuccess;
  }
  return CallOrWait(/*write=*/false, guest, from, iovecs, offset, size_bytes);
}

Answer Receive(Guest& guest, Descriptor& from, Iovecs& iovecs, bool peek, bool wait_all,
               uint32_t& size_bytes) {
  size_bytes = 0;
  do {
    uint32_t step = 0;
    if (const Answer answer = CallOrWait(/*write=*/false, guest, from, iovecs, std::nullopt, step,
                                         peek ? MSG_PEEK : 0);
        !answer.ok()) {
      // What came before is told now, the error with the next call.
      return size_bytes != 0 && answer.kind() == Answer::Kind::kErrno ? Answer(Errno::kSuccess)
                                                                      : answer;
    }
    if (step == 0) {
      break;
    }
    size_bytes += step;
    iovecs.Advance(step);
  } while (wait_all && !peek && !iovecs.empty());
  return Errno::kSuccess;
}

Answer Write(Guest& guest, Descriptor& to, Iovecs& iovecs, std::optional<int64_t> offset,
             uint32_t& size_bytes) {
  size_bytes = 0;
  if (to.output != nullptr) {
    return WriteStream(guest, *to.output, iovecs, size_bytes);
  }
  if (!to.fd) {  // A null stream takes everything.
    while (!iovecs.empty()) {
      const size_t step = iovecs.front().size();
      size_bytes += static_cast<uint32_t>(step);
      iovecs.Advance(step);
    }
    return Errno::kSuccess;
  }
  if (iovecs.empty() || (!to.may_block && to.kind != DescriptorKind::kOutput)) {
    return CallOrWait(/*write=*/true, guest, to, iovecs, offset, size_bytes);
  }
  // As a blocking write to a pipe does: all of it.
  std::optional<SigpipeGuard> guard;
  if (to.may_block && to.kind != DescriptorKind::kSocket) {
    guard.emplace();
  }
  while (!iovecs.empty()) {
    uint32_t step = 0;
    if (const Answer answer = CallOrWait(/*write=*/true, guest, to, iovecs, offset, step);
        !answer.ok()) {
      return size_bytes != 0 && answer.kind() == Answer::Kind::kErrno ? Answer(Errno::kSuccess)
                                                                      : answer;
    }
    if (step == 0) {
      break;
    }
    size_bytes += step;
    iovecs.Advance(step);
    if (offset.has_value()) {
      *offset += step;
    }
  }
  return Errno::kSuccess;
}

}  // namespace wasmd::engine
