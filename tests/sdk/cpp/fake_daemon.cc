#include "tests/sdk/cpp/fake_daemon.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>
#include <grpcpp/server_posix.h>

#include "client/cpp/posix.h"
#include "client/cpp/text.h"
#include "proto/handshake/handshake.h"
#include "proto/wasmd/v1/instance.grpc.pb.h"
#include "proto/wasmd/v1/invocation.grpc.pb.h"
#include "proto/wasmd/v1/module.grpc.pb.h"
#include "proto/wasmd/v1/server.grpc.pb.h"
#include "proto/wasmd/v1/session.grpc.pb.h"

namespace wasmd::client {

namespace {

using handshake::FrameHeader;
using handshake::FrameType;

constexpr auto kPatience = std::chrono::seconds(30);

bool ReadExactly(int fd, char* to, size_t size, std::vector<int>* descriptors) {
  while (size > 0) {
    iovec part{to, size};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (got <= 0) {
      return false;
    }
    for (cmsghdr* entry = CMSG_FIRSTHDR(&message); entry != nullptr;
         entry = CMSG_NXTHDR(&message, entry)) {
      const size_t count = (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count && descriptors != nullptr; ++i) {
        int received = -1;
        std::memcpy(&received, CMSG_DATA(entry) + i * sizeof(int), sizeof(int));
        descriptors->push_back(received);
      }
    }
    to += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

void SendFrame(int fd, FrameType type, const std::string& payload) {
  FrameHeader header{};
  std::memcpy(header.magic, handshake::kMagic, sizeof(header.magic));
  header.version = handshake::kVersion;
  header.type = static_cast<uint16_t>(type);
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  bytes += payload;
  send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

}  // namespace

class FakeDaemon::Impl : public v1::SessionService::Service,
                         public v1::ModuleService::Service,
                         public v1::InstanceService::Service,
                         public v1::InvocationService::Service,
                         public v1::ServerService::Service {
 public:
  explicit Impl(const Options& options) : options_(options) {
    char folder[] = "/tmp/wasmd-fake-XXXXXX";
    folder_ = mkdtemp(folder);
    grpc::ServerBuilder builder;
    // As the real one.
    builder.SetMaxReceiveMessageSize((4 << 20) + (64 << 10));
    builder.RegisterService(static_cast<v1::SessionService::Service*>(this));
    builder.RegisterService(static_cast<v1::ModuleService::Service*>(this));
    builder.RegisterService(static_cast<v1::InstanceService::Service*>(this));
    builder.RegisterService(static_cast<v1::InvocationService::Service*>(this));
    builder.RegisterService(static_cast<v1::ServerService::Service*>(this));
    server_ = builder.BuildAndStart();
    Listen();
    acceptor_ = std::thread([this] { Accept(); });
  }

  ~Impl() override {
    stopping_ = true;
    shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    Disconnect();
    server_->Shutdown(std::chrono::system_clock::now());
    for (std::thread& thread : threads_) {
      thread.join();
    }
    unlink(Cat(folder_, "/s").c_str());
    rmdir(folder_.c_str());
  }

  std::string address() const { return address_; }

  void Disconnect() {
    const std::lock_guard lock(mutex_);
    for (const int fd : connections_) {
      shutdown(fd, SHUT_RDWR);
      close(fd);
    }
    connections_.clear();
  }

  mutable std::mutex mutex_;
  Seen seen_;

 private:
  // ---- The socket

  void Listen() {
    if (options_.tcp) {
      listener_ = Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in where{};
      where.sin_family = AF_INET;
      where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof(where);
      bind(listener_.get(), reinterpret_cast<sockaddr*>(&where), size);
      getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&where), &size);
      address_ = Cat("tcp:127.0.0.1:", ntohs(where.sin_port));
    } else {
      listener_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_un where{};
      where.sun_family = AF_UNIX;
      const std::string path = Cat(folder_, "/s");
      std::memcpy(where.sun_path, path.data(), path.size());
      bind(listener_.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where));
      address_ = Cat("unix:", path);
    }
    listen(listener_.get(), 16);
  }

  void Accept() {
    for (;;) {
      const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) {
        return;
      }
      threads_.emplace_back([this, fd] { Serve(fd); });
    }
  }

  void Serve(int fd) {
    char magic[4] = {};
    while (recv(fd, magic, sizeof(magic), MSG_PEEK | MSG_WAITALL) < 0 && errno == EINTR) {
    }
    if (std::memcmp(magic, handshake::kMagic, sizeof(magic)) != 0) {
      if (options_.not_grpc) {
        const std::string_view text = "HTTP/1.1 400 Bad Request\r\n\r\n";
        send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        close(fd);
        return;
      }
      const std::lock_guard lock(mutex_);
      // gRPC closes its own; ours is for Disconnect.
      connections_.insert(fcntl(fd, F_DUPFD_CLOEXEC, 0));
      fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
      grpc::AddInsecureChannelFromFd(server_.get(), fd);
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      connections_.insert(fd);
    }
    ServeHandshake(fd);
    const std::lock_guard lock(mutex_);
    ++seen_.handshakes_ended;
    if (connections_.erase(fd) > 0) {
      close(fd);
    }
  }

  void ServeHandshake(int fd) {
    switch (options_.handshake) {
      case Handshake::kServe:
        break;
      case Handshake::kRefuse:
        SendFrame(fd, FrameType::kError, "no sessions left");
        return;
      case Handshake::kGarbage:
        send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
        return;
      case Handshake::kHangUp:
        return;
      case Handshake::kSilent: {
        char byte = 0;
        while (recv(fd, &byte, 1, 0) > 0) {
        }
        return;
      }
    }
    for (;;) {
      FrameHeader header{};
      std::vector<int> descriptors;
      if (!ReadExactly(fd, reinterpret_cast<char*>(&header), sizeof(header), &descriptors)) {
        return;
      }
      std::string payload(header.payload_bytes, '\0');
      if (!ReadExactly(fd, payload.data(), payload.size(), &descriptors)) {
        return;
      }
      const std::lock_guard lock(mutex_);
      if (header.type == static_cast<uint16_t>(FrameType::kHello)) {
        ++seen_.handshakes;
        SendFrame(fd, FrameType::kWelcome, Token());
      } else if (header.type == static_cast<uint16_t>(FrameType::kDescriptors)) {
        seen_.frames.push_back(descriptors.size());
        std::string handles;
        for (const int descriptor : descriptors) {
          const uint64_t handle = next_handle_++;
          descriptors_[handle] = Fd(descriptor);
          handles.append(reinterpret_cast<const char*>(&handle), sizeof(handle));
        }
        SendFrame(fd, FrameType::kHandles, handles);
      }
    }
  }

  Fd TakeDescriptor(uint64_t handle) {
    const std::lock_guard lock(mutex_);
    const auto found = descriptors_.find(handle);
    if (found == descriptors_.end()) {
      return Fd();
    }
    Fd fd = std::move(found->second);
    descriptors_.erase(found);
    return fd;
  }

  // ---- Services

  void See(const grpc::ServerContext& context, const std::string& rpc) {
    const std::lock_guard lock(mutex_);
    seen_.rpcs.push_back(rpc);
    const auto token = context.client_metadata().find(handshake::kSessionMetadataKey);
    seen_.tokens.push_back(token == context.client_metadata().end()
                               ? ""
                               : std::string(token->second.data(), token->second.size()));
  }

  // Until the client cancels, or its deadline passes.
  grpc::Status Hang(const grpc::ServerContext& context) {
    while (!context.IsCancelled() && !stopping_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    const std::lock_guard lock(mutex_);
    ++seen_.cancelled;
    return {grpc::StatusCode::CANCELLED, "stopped"};
  }

  grpc::Status Initialize(grpc::ServerContext* context, const v1::InitializeRequest* request,
                          v1::InitializeResponse* response) override {
    See(*context, "Initialize");
    if (!request->session_token().empty() && request->session_token() != Token()) {
      return {grpc::StatusCode::UNAUTHENTICATED, "no such session"};
    }
    response->set_server_name("fake");
    response->set_server_version("9.9");
    response->set_protocol_version(options_.protocol_version);
    response->set_session_token(Token());
    response->mutable_capabilities()->add_roots("shared");
    response->mutable_limits()->set_max_module_bytes(options_.max_module_bytes);
    return grpc::Status::OK;
  }
  grpc::Status Close(grpc::ServerContext* context, const v1::CloseRequest*,
                     v1::CloseResponse*) override {
    See(*context, "Close");
    return grpc::Status::OK;
  }

  grpc::Status UploadModule(grpc::ServerContext* context,
                            grpc::ServerReader<v1::UploadModuleRequest>* reader,
                            v1::UploadModuleResponse* response) override {
    See(*context, "UploadModule");
    v1::UploadModuleRequest request;
    v1::UploadModuleHeader header;
    std::string bytes;
    while (reader->Read(&request)) {
      if (request.has_header()) {
        header = request.header();
      } else {
        bytes += request.chunk();
      }
    }
    if (header.descriptor_handle() != 0) {
      const Fd file = TakeDescriptor(header.descriptor_handle());
      const absl::StatusOr<std::string> read = ReadAll(file.get(), 0, "file");
      if (!read.ok()) {
        return {grpc::StatusCode::INVALID_ARGUMENT, "no such descriptor"};
      }
      bytes = *read;
    }
    if (!bytes.starts_with(std::string("\0asm", 4))) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "not a wasm module:\nno magic"};
    }
    v1::ModuleInfo* info = response->mutable_module();
    info->set_digest(Sha256Digest(bytes));
    info->set_name(header.name());
    info->set_size_bytes(bytes.size());
    const std::lock_guard lock(mutex_);
    modules_[info->digest()] = *info;
    return grpc::Status::OK;
  }
  grpc::Status GetModule(grpc::ServerContext* context, const v1::GetModuleRequest* request,
                         v1::GetModuleResponse* response) override {
    See(*context, "GetModule");
    const std::lock_guard lock(mutex_);
    const auto found = modules_.find(request->digest());
    if (found == modules_.end()) {
      return {grpc::StatusCode::NOT_FOUND, "no such module"};
    }
    *response->mutable_module() = found->second;
    return grpc::Status::OK;
  }

  grpc::Status CreateInstance(grpc::ServerContext* context,
                              const v1::CreateInstanceRequest* request,
                              v1::CreateInstanceResponse* response) override {
    See(*context, "CreateInstance");
    if (request->module() == "traps") {
      response->mutable_outcome()->mutable_trap()->set_message("unreachable executed");
      return grpc::Status::OK;
    }
    const std::lock_guard lock(mutex_);
    response->set_instance(next_handle_++);
    return grpc::Status::OK;
  }
  grpc::Status DropInstance(grpc::ServerContext* context, const v1::DropInstanceRequest* request,
                            v1::DropInstanceResponse*) override {
    See(*context, "DropInstance");
    const std::lock_guard lock(mutex_);
    seen_.dropped.push_back(Cat(request->instance()));
    return grpc::Status::OK;
  }
  grpc::Status ReadMemory(grpc::ServerContext* context, const v1::ReadMemoryRequest* request,
                          v1::ReadMemoryResponse* response) override {
    See(*context, "ReadMemory");
    if (request->size_bytes() > (1U << 20)) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "over 1 MiB"};
    }
    if (request->offset() + request->size_bytes() > (3U << 20)) {
      return {grpc::StatusCode::OUT_OF_RANGE, "not inside the memory"};
    }
    for (uint64_t i = 0; i < request->size_bytes(); ++i) {
      response->mutable_data()->push_back(static_cast<char>((request->offset() + i) % 251));
    }
    return grpc::Status::OK;
  }

  grpc::Status Call(grpc::ServerContext* context, const v1::CallRequest* request,
                    v1::CallResponse* response) override {
    See(*context, "Call");
    if (request->func() == "hang") {
      return Hang(*context);
    }
    if (request->func() == "trap") {
      v1::Trap* trap = response->mutable_outcome()->mutable_trap();
      trap->set_code(v1::TRAP_CODE_DIVIDE_BY_ZERO);
      trap->set_message("integer divide by zero");
      trap->add_frames()->set_func_name("f");
      return grpc::Status::OK;
    }
    if (request->func() == "exit") {
      response->mutable_outcome()->set_exit_code(7);
      return grpc::Status::OK;
    }
    if (request->func() == "nothing") {
      return grpc::Status::OK;  // No outcome: a daemon from the future.
    }
    *response->mutable_outcome()->mutable_values()->mutable_values() = request->args();
    response->set_duration_ns(1500);
    return grpc::Status::OK;
  }

  grpc::Status CallBytes(grpc::ServerContext* context, const v1::CallBytesRequest* request,
                         v1::CallBytesResponse* response) override {
    See(*context, "CallBytes");
    response->set_duration_ns(1500);
    if (request->func() == "trap") {
      response->mutable_outcome()->mutable_trap()->set_code(v1::TRAP_CODE_DIVIDE_BY_ZERO);
    } else if (request->func() == "exit") {
      response->mutable_outcome()->set_exit_code(7);
    } else if (request->func() == "values") {
      response->mutable_outcome()->mutable_values();
    } else if (request->func() != "nothing") {
      response->set_output(request->input());
    }
    return grpc::Status::OK;
  }

  grpc::Status Run(grpc::ServerContext* context,
                   grpc::ServerReaderWriter<v1::RunResponse, v1::RunRequest>* stream) override {
    See(*context, "Run");
    v1::RunRequest request;
    stream->Read(&request);
    const v1::RunStart start = request.start();
    const std::string program = start.args_size() > 0 ? start.args(0) : "";
    if (program == "hang") {
      return Hang(*context);
    }
    const Fd out = TakeDescriptor(start.stdout().descriptor_handle());
    const auto write_out = [&](const std::string& data) {
      if (out.valid()) {
        return write(out.get(), data.data(), data.size()) >= 0;
      }
      v1::RunResponse response;
      response.set_stdout_data(data);
      return !start.stdout().stream() || stream->Write(response);
    };
    if (program == "flood") {
      while (write_out(std::string(100'000, 'x'))) {
      }
      return Hang(*context);
    }
    std::string text;
    if (program == "args") {
      for (const std::string& arg : start.args()) {
        text += Cat(arg, "\n");
      }
      for (const v1::EnvVar& variable : start.env()) {
        text += Cat(variable.name(), "=", variable.value(), "\n");
      }
      for (const v1::Preopen& preopen : start.preopens()) {
        const Fd directory = TakeDescriptor(preopen.descriptor_handle());
        struct stat info{};
        fstat(directory.get(), &info);
        text += Cat(preopen.guest_path(),
                    directory.valid() ? Cat(" inode ", info.st_ino) : Cat(" root ", preopen.root()),
                    preopen.read_only() ? " ro\n" : "\n");
      }
      write_out(text);
    } else if (start.stdin().descriptor_handle() != 0) {
      const Fd in = TakeDescriptor(start.stdin().descriptor_handle());
      char buffer[4096];
      for (ssize_t got = 0; (got = read(in.get(), buffer, sizeof(buffer))) > 0;) {
        write_out(std::string(buffer, static_cast<size_t>(got)));
      }
    } else if (start.stdin().stream()) {
      while (stream->Read(&request) && !request.stdin_eof()) {
        write_out(request.stdin_data());
      }
    }
    v1::RunResponse last;
    last.mutable_exit()->mutable_outcome()->set_exit_code(3);
    last.mutable_exit()->set_peak_memory_bytes(65536);
    stream->Write(last);
    return grpc::Status::OK;
  }

  const Options options_;
  std::string folder_;
  std::string address_;
  Fd listener_;
  std::unique_ptr<grpc::Server> server_;
  std::atomic<bool> stopping_{false};
  std::thread acceptor_;
  std::vector<std::thread> threads_;
  std::set<int> connections_;
  std::map<uint64_t, Fd> descriptors_;
  std::map<std::string, v1::ModuleInfo> modules_;
  uint64_t next_handle_ = 1;
};

FakeDaemon::FakeDaemon(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
FakeDaemon::~FakeDaemon() = default;
std::string FakeDaemon::address() const {
  return impl_->address();
}
std::string FakeDaemon::Token() {
  return std::string(handshake::kTokenBytes, 'f');
}
void FakeDaemon::Disconnect() {
  impl_->Disconnect();
}

FakeDaemon::Seen FakeDaemon::seen() const {
  const std::lock_guard lock(impl_->mutex_);
  return impl_->seen_;
}

bool FakeDaemon::WaitUntil(bool (*condition)(const Seen&)) const {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition(seen())) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace wasmd::client
