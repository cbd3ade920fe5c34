#include "daemon/listener/listener.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/posix/stream_descriptor.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"

#include "daemon/channel/channel_manager.h"
#include "daemon/config/parse.h"
#include "daemon/config/steady_time.h"
#include "daemon/config/text.h"
#include "daemon/listener/bind.h"
#include "daemon/listener/channel_connection.h"
#include "daemon/listener/conversation.h"
#include "daemon/listener/handshake_connection.h"
#include "daemon/observe/log.h"
#include "daemon/session/session_manager.h"
#include "engine/base/check.h"
#include "engine/base/unique_fd.h"
#include "proto/handshake/handshake.h"
#include "proto/ring/attach.h"

namespace wasmd::daemon {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using engine::UniqueFd;
using Descriptor = asio::posix::stream_descriptor;

constexpr std::string_view kHttp2Preface = "PRI ";
constexpr size_t kPeekBytes = 4;
// A peer that has sent one to three bytes: level-triggered readiness would spin.
constexpr std::chrono::milliseconds kPeekAgain(10);
// When the process is out of descriptors, accepting again at once would spin.
constexpr std::chrono::milliseconds kAcceptAgain(100);
// Accepted in one go before connections have their turn.
constexpr int kAcceptsPerTurn = 64;

std::string UserOf(int fd, const ListenAddress& address) {
  if (address.kind == ListenAddress::Kind::kTcp) {
    return "tcp";
  }
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return "unix";
  }
  return StrCat("uid:", peer.uid);
}

}  // namespace

class Listener::Impl {
 public:
  Impl(SessionManager& sessions, ChannelManager& channels, std::vector<BoundSocket> sockets,
       OnHttp2 on_http2)
      : sessions_(sessions), channels_(channels), on_http2_(std::move(on_http2)) {
    for (BoundSocket& socket : sockets) {
      acceptors_.push_back(std::make_shared<Acceptor>(io_, std::move(socket)));
    }
    max_connections_ = sessions.services().options.max_connections;
  }

  void Start() {
    for (const std::shared_ptr<Acceptor>& acceptor : acceptors_) {
      WaitForAccept(acceptor);
    }
    WaitForHangups();
    WaitForIdleSessions();
    thread_ = std::thread([this] {
      static_cast<void>(::pthread_setname_np(::pthread_self(), "wasmd-listener"));
      io_.run();
    });
  }

  uint32_t connection_count() const { return count_.load(std::memory_order_relaxed); }

  void StopAccepting() {
    Do([this] { CloseAcceptors(); });
  }

  void Shutdown() {
    if (!thread_.joinable()) {
      return;
    }
    Do([this] {
      CloseAcceptors();
      while (!connections_.empty()) {
        Forget(*connections_.begin());
      }
      io_.stop();
    });
    thread_.join();
  }

 private:
  struct Acceptor {
    Acceptor(asio::io_context& io, BoundSocket bound)
        : socket(std::move(bound)), descriptor(io, socket.fd()), timer(io) {}
    Acceptor(const Acceptor&) = delete;
    Acceptor& operator=(const Acceptor&) = delete;
    ~Acceptor() { static_cast<void>(descriptor.release()); }
    bool stopped = false;  // A wait that is over may still have its handler queued.
    BoundSocket socket;
    Descriptor descriptor;  // Of the socket's descriptor, which stays the socket's.
    asio::steady_timer timer;
  };

  // One that has not said yet what it speaks, or that speaks a protocol of ours.
  struct Connection {
    Connection(asio::io_context& io, UniqueFd fd, std::string peer, bool takes_descriptors)
        : descriptor(io, fd.release()),
          timer(io),
          again(io),
          user(std::move(peer)),
          is_unix(takes_descriptors) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() = default;
    Descriptor descriptor;
    asio::steady_timer timer;  // Until the first frame.
    asio::steady_timer again;
    std::string user;
    bool is_unix;
    std::unique_ptr<Conversation> conversation;  // Before the descriptor goes.
  };
  using ConnectionPointer = std::shared_ptr<Connection>;

  // Runs `action` on the listener's thread and waits for it.
  void Do(const std::function<void()>& action) {
    std::atomic<bool> done{false};
    asio::post(io_, [&] {
      action();
      done.store(true, std::memory_order_release);  // Pairs with the wait below.
      done.notify_one();
    });
    done.wait(false, std::memory_order_acquire);
  }

  // ---- Accepting

  void CloseAcceptors() {
    for (const std::shared_ptr<Acceptor>& acceptor : acceptors_) {
      acceptor->stopped = true;
      acceptor->timer.cancel();
      acceptor->descriptor.cancel();
    }
    acceptors_.clear();
  }

  void WaitForAccept(const std::shared_ptr<Acceptor>& acceptor) {
    acceptor->descriptor.async_wait(Descriptor::wait_read,
                                    [this, acceptor](const error_code& error) {
                                      if (!error && !acceptor->stopped) {
                                        Accept(acceptor);
                                      }
                                    });
  }

  void Accept(const std::shared_ptr<Acceptor>& acceptor) {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      UniqueFd fd(::accept4(acceptor->socket.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          Log(LogLevel::kWarning, "cannot accept connections", {{"reason", std::strerror(errno)}});
          acceptor->timer.expires_after(kAcceptAgain);
          acceptor->timer.async_wait([this, acceptor](const error_code& error) {
            if (!error && !acceptor->stopped) {
              WaitForAccept(acceptor);
            }
          });
          return;
        }
        if (errno == EINTR || errno == ECONNABORTED) {
          continue;
        }
        break;
      }
      Accepted(std::move(fd), acceptor->socket.address());
    }
    WaitForAccept(acceptor);
  }

  void Accepted(UniqueFd fd, const ListenAddress& address) {
    if (connection_count() >= max_connections_) {
      if (absl::Now() - last_refusal_ > absl::Seconds(1)) {
        last_refusal_ = absl::Now();
        Log(LogLevel::kWarning, "connection refused",
            {{"reason", "--max-connections"}, {"limit", max_connections_}});
      }
      return;
    }
    count_.fetch_add(1, std::memory_order_relaxed);
    const std::string user = UserOf(fd.get(), address);
    const auto connection = std::make_shared<Connection>(
        io_, std::move(fd), user, address.kind == ListenAddress::Kind::kUnix);
    connections_.insert(connection);
    connection->timer.expires_after(std::chrono::milliseconds(handshake::kFirstFrameTimeoutMs));
    connection->timer.async_wait([this, connection](const error_code& error) {
      if (!error) {
        Log(LogLevel::kDebug, "silent connection closed", {{"user", connection->user}});
        Forget(connection);
      }
    });
    WaitForFirstBytes(connection);
  }

  // By value: the set's own element may be what is forgotten.
  void Forget(ConnectionPointer connection) {
    if (connections_.erase(connection) == 0) {
      return;
    }
    count_.fetch_sub(1, std::memory_order_relaxed);
    connection->conversation = nullptr;
    connection->timer.cancel();
    connection->again.cancel();
    error_code ignored;
    connection->descriptor.close(ignored);
  }

  // ---- First bytes

  void WaitForFirstBytes(const ConnectionPointer& connection) {
    connection->descriptor.async_wait(Descriptor::wait_read,
                                      [this, connection](const error_code& error) {
                                        if (!error) {
                                          Peek(connection);
                                        }
                                      });
  }

  void Peek(const ConnectionPointer& connection) {
    std::array<char, kPeekBytes> bytes{};
    const ssize_t count = ::recv(connection->descriptor.native_handle(), bytes.data(), bytes.size(),
                                 MSG_PEEK | MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
      WaitForFirstBytes(connection);
      return;
    }
    if (count <= 0) {
      Forget(connection);
      return;
    }
    const std::string_view first(bytes.data(), static_cast<size_t>(count));
    const std::string_view magic(handshake::kMagic, sizeof(handshake::kMagic));
    const std::string_view attach(ring::kAttachMagic, sizeof(ring::kAttachMagic));
    if (first == kHttp2Preface) {
      HandOver(connection);
    } else if (first == magic) {
      BeginConversation(connection, &Impl::NewHandshake);
    } else if (first == attach) {
      BeginConversation(connection, &Impl::NewChannel);
    } else if (kHttp2Preface.starts_with(first) || magic.starts_with(first) ||
               attach.starts_with(first)) {
      connection->again.expires_after(kPeekAgain);
      connection->again.async_wait([this, connection](const error_code& error) {
        if (!error) {
          WaitForFirstBytes(connection);
        }
      });
    } else {
      Log(LogLevel::kDebug, "connection closed: neither gRPC nor a protocol of ours",
          {{"user", connection->user}});
      Forget(connection);
    }
  }

  // ---- HTTP/2

  void HandOver(const ConnectionPointer& connection) {
    connection->timer.cancel();
    connections_.erase(connection);
    UniqueFd fd(connection->descriptor.release());
    // gRPC does not say when a connection ends. A second descriptor of the same socket shows the
    // hang-up: of the peer on a unix socket, of gRPC (which shuts the socket down before it closes
    // it) on TCP.
    UniqueFd watch(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    epoll_event event{};
    event.events = EPOLLET;  // EPOLLHUP and EPOLLERR are always told; data is not asked for.
    event.data.fd = watch.get();
    if (!watch || ::epoll_ctl(hangups_.get(), EPOLL_CTL_ADD, watch.get(), &event) != 0) {
      count_.fetch_sub(1, std::memory_order_relaxed);
      return;
    }
    watched_.emplace(watch.get(), std::move(watch));
    on_http2_(std::move(fd));
  }

  void WaitForHangups() {
    hangup_descriptor_.async_wait(Descriptor::wait_read, [this](const error_code& error) {
      if (error) {
        return;
      }
      std::array<epoll_event, 64> events{};
      const int count = ::epoll_wait(hangups_.get(), events.data(), events.size(), 0);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events.at(static_cast<size_t>(i));
        if ((event.events & (EPOLLHUP | EPOLLERR)) != 0 && watched_.erase(event.data.fd) != 0) {
          count_.fetch_sub(1, std::memory_order_relaxed);
        }
      }
      WaitForHangups();
    });
  }

  // ---- Protocols of ours

  using Maker = std::unique_ptr<Conversation> (Impl::*)(const ConnectionPointer&);

  void BeginConversation(const ConnectionPointer& connection, Maker make) {
    if (!connection->is_unix) {
      Log(LogLevel::kDebug, "handshake refused: descriptors pass on unix sockets only");
      Forget(connection);
      return;
    }
    connection->conversation = (this->*make)(connection);
    Converse(connection);
  }

  std::unique_ptr<Conversation> NewHandshake(const ConnectionPointer& connection) {
    return std::make_unique<HandshakeConnection>(sessions_, connection->descriptor.native_handle(),
                                                 connection->user);
  }

  std::unique_ptr<Conversation> NewChannel(const ConnectionPointer& connection) {
    auto over = [this, weak = std::weak_ptr(connection)](std::string_view reason) {
      asio::post(io_, [this, weak, text = std::string(reason)] {
        if (const ConnectionPointer ended = weak.lock();
            ended != nullptr && ended->conversation != nullptr) {
          ended->conversation->SayGoodbye(text);
          Forget(ended);
        }
      });
    };
    return std::make_unique<ChannelConnection>(channels_, connection->descriptor.native_handle(),
                                               connection->user, std::move(over));
  }

  void Converse(const ConnectionPointer& connection) {
    if (connection->conversation == nullptr) {
      return;  // Forgotten while the handler was queued.
    }
    if (!connection->conversation->Read()) {
      Forget(connection);
      return;
    }
    if (connection->conversation->welcomed()) {
      connection->timer.cancel();
    }
    connection->descriptor.async_wait(Descriptor::wait_read,
                                      [this, connection](const error_code& error) {
                                        if (!error) {
                                          Converse(connection);
                                        }
                                      });
  }

  // ---- Sessions without a connection

  void WaitForIdleSessions() {
    const absl::Duration timeout = sessions_.services().options.session_idle_timeout;
    const absl::Duration period =
        std::clamp(timeout / 4, absl::Milliseconds(250), absl::Seconds(30));
    idle_timer_.expires_after(absl::ToChronoMilliseconds(period));
    idle_timer_.async_wait([this](const error_code& error) {
      if (!error) {
        sessions_.CloseIdle(SteadyNow());
        WaitForIdleSessions();
      }
    });
  }

  SessionManager& sessions_;
  ChannelManager& channels_;
  const OnHttp2 on_http2_;
  uint32_t max_connections_ = 0;
  std::atomic<uint32_t> count_{0};
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  asio::steady_timer idle_timer_{io_};
  // An epoll set inside Asio's: it asks for hang-ups alone, so that RPCs do not wake this thread.
  UniqueFd hangups_{::epoll_create1(EPOLL_CLOEXEC)};
  Descriptor hangup_descriptor_{io_, ::fcntl(hangups_.get(), F_DUPFD_CLOEXEC, 0)};
  std::unordered_map<int, UniqueFd> watched_;
  std::vector<std::shared_ptr<Acceptor>> acceptors_;
  std::unordered_set<ConnectionPointer> connections_;
  absl::Time last_refusal_ = absl::InfinitePast();
  std::thread thread_;
};

Listener::Listener(SessionManager& sessions, ChannelManager& channels,
                   std::vector<BoundSocket> sockets, OnHttp2 on_http2)
    : impl_(std::make_unique<Impl>(sessions, channels, std::move(sockets), std::move(on_http2))) {}
Listener::~Listener() {
  Shutdown();
}
void Listener::Start() {
  impl_->Start();
}
uint32_t Listener::connection_count() const {
  return impl_->connection_count();
}
void Listener::StopAccepting() {
  impl_->StopAccepting();
}
void Listener::Shutdown() {
  impl_->Shutdown();
}

}  // namespace wasmd::daemon
