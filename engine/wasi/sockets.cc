// The sock_* functions, on stream sockets that the embedder handed in and those accepted from them.
// There is no function that makes, binds or connects one.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "engine/base/unique_fd.h"
#include "engine/wasi/abi.h"
#include "engine/wasi/context.h"
#include "engine/wasi/descriptor_table.h"
#include "engine/wasi/guest.h"
#include "engine/wasi/transfer.h"

namespace wasmd::engine {
namespace {

// False where it is no socket; errno says what it is.
bool Option(int socket, int option, int& value) {
  socklen_t size = sizeof(value);
  return ::getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0;
}

Descriptor SocketDescriptor(UniqueFd socket, bool listening, bool nonblock) {
  Descriptor descriptor;
  descriptor.kind = DescriptorKind::kSocket;
  descriptor.filetype = abi::Filetype::kSocketStream;
  descriptor.nonblock = nonblock;
  descriptor.may_block = true;
  descriptor.listening = listening;
  descriptor.fd = std::move(socket);
  return descriptor;
}

}  // namespace

absl::Status WasiContext::OpenSocket(WasiSocket socket) {
  int type = 0;
  int listening = 0;
  if (!Option(socket.socket.get(), SO_TYPE, type) ||
      !Option(socket.socket.get(), SO_ACCEPTCONN, listening)) {
    return absl::InvalidArgumentError(absl::StrCat("a socket: ", std::strerror(errno)));
  }
  if (type != SOCK_STREAM) {
    return absl::InvalidArgumentError("a socket: not a stream socket");
  }
  const int flags = ::fcntl(socket.socket.get(), F_GETFL);
  descriptors_.Add(SocketDescriptor(std::move(socket.socket), listening != 0,
                                    flags >= 0 && (flags & O_NONBLOCK) != 0));
  return absl::OkStatus();
}

Answer WasiContext::FindSocket(uint32_t fd, Descriptor*& socket) {
  socket = descriptors_.Find(fd);
  if (socket == nullptr) {
    return Errno::kBadf;
  }
  return socket->kind == DescriptorKind::kSocket ? Errno::kSuccess : Errno::kNotsock;
}

Answer WasiContext::SockAccept(Guest& guest, uint32_t fd, uint32_t flags, uint32_t out) {
  if ((flags & ~abi::kFdNonblock) != 0) {
    return Errno::kInval;
  }
  Descriptor* listener = nullptr;
  WASMD_WASI_RETURN_IF_NOT_OK(FindSocket(fd, listener));
  std::span<std::byte> room;
  if (!guest.Range(out, sizeof(uint32_t), room, alignof(uint32_t))) {
    return guest.fault();
  }
  if (!listener->listening) {
    return Errno::kInval;
  }
  if (descriptors_.full()) {
    return Errno::kMfile;
  }
  while (true) {
    // The listener's description may be in blocking mode and shared: accept comes after poll. Where
    // another process was quicker it waits in accept4, which the signal of an interrupt ends.
    if (!listener->nonblock) {
      WASMD_WASI_RETURN_IF_NOT_OK(WaitFor(guest, listener->fd.get(), POLLIN));
    } else {
      pollfd ready = {listener->fd.get(), POLLIN, 0};
      if (::poll(&ready, 1, 0) == 0) {
        return Errno::kAgain;
      }
    }
    UniqueFd accepted(::accept4(listener->fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (accepted) {
      const bool stored =
          guest.Store(out, descriptors_.Add(SocketDescriptor(std::move(accepted), false,
                                                             (flags & abi::kFdNonblock) != 0)));
      return stored ? Answer(Errno::kSuccess) : guest.fault();
    }
    if (errno == EINTR) {
      if (guest.interrupted()) {
        return Answer::Interrupted();
      }
    } else if (errno != EAGAIN) {
      return ErrnoOfHost(errno);
    }
  }
}

Answer WasiContext::SockRecv(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count,
                             uint32_t flags, uint32_t size_out, uint32_t flags_out) {
  if ((flags & ~abi::kRecvFlags) != 0) {
    return Errno::kInval;
  }
  Descriptor* socket = nullptr;
  WASMD_WASI_RETURN_IF_NOT_OK(FindSocket(fd, socket));
  Iovecs loaded;
  WASMD_WASI_RETURN_IF_NOT_OK(loaded.Load(guest, iovecs, count));
  uint32_t size_bytes = 0;
  WASMD_WASI_RETURN_IF_NOT_OK(Receive(guest, *socket, loaded, (flags & abi::kRecvPeek) != 0,
                                      (flags & abi::kRecvWaitall) != 0, size_bytes));
  // No stream is cut to the buffer.
  return guest.Store(size_out, size_bytes) && guest.Store(flags_out, uint16_t{0})
             ? Answer(Errno::kSuccess)
             : guest.fault();
}

Answer WasiContext::SockSend(Guest& guest, uint32_t fd, uint32_t iovecs, uint32_t count,
                             uint32_t flags, uint32_t out) {
  if (flags != 0) {
    return Errno::kInval;
  }
  Descriptor* socket = nullptr;
  WASMD_WASI_RETURN_IF_NOT_OK(FindSocket(fd, socket));
  Iovecs loaded;
  WASMD_WASI_RETURN_IF_NOT_OK(loaded.Load(guest, iovecs, count));
  uint32_t size_bytes = 0;
  WASMD_WASI_RETURN_IF_NOT_OK(Write(guest, *socket, loaded, std::nullopt, size_bytes));
  return guest.Store(out, size_bytes) ? Answer(Errno::kSuccess) : guest.fault();
}

Answer WasiContext::SockShutdown(Guest& /*guest*/, uint32_t fd, uint32_t how) {
  static constexpr int kHow[] = {-1, SHUT_RD, SHUT_WR, SHUT_RDWR};
  Descriptor* socket = nullptr;
  WASMD_WASI_RETURN_IF_NOT_OK(FindSocket(fd, socket));
  if (how == 0 || (how & ~abi::kShutdownFlags) != 0) {
    return Errno::kInval;
  }
  return ::shutdown(socket->fd.get(), kHow[how]) == 0 ? Errno::kSuccess : ErrnoOfHost(errno);
}

}  // namespace wasmd::engine
