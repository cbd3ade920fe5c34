// How a module gets to the daemon.
//
// A regular file, where descriptors can be passed, is read and hashed by the daemon: one RPC and no
// byte copied here. In every other case the bytes are hashed here first, and sent only if the
// daemon does not know the digest.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "client/cpp/client.h"
#include "client/cpp/convert.h"
#include "client/cpp/core.h"
#include "client/cpp/posix.h"

namespace wasmd::client {

namespace {

constexpr size_t kChunkBytes = size_t{256} << 10;
constexpr size_t kMaxNameBytes = 255;

absl::StatusOr<ModuleInfo> Send(Core& core, v1::UploadModuleHeader header, std::string_view bytes,
                                const UploadOptions& options) {
  grpc::ClientContext context;
  core.Prepare(context, options.control);
  const std::stop_callback cancel(options.control.stop, [&context] { context.TryCancel(); });
  v1::UploadModuleResponse response;
  const auto writer = core.modules().UploadModule(&context, &response);
  v1::UploadModuleRequest request;
  *request.mutable_header() = std::move(header);
  bool open = writer->Write(request);
  for (size_t offset = 0; open && offset < bytes.size();) {
    const std::string_view chunk = bytes.substr(offset, kChunkBytes);
    request.set_chunk(chunk.data(), chunk.size());
    open = writer->Write(request);
    offset += chunk.size();
    if (options.progress) {
      options.progress(offset, bytes.size());
    }
  }
  writer->WritesDone();
  if (absl::Status status = core.Convert(writer->Finish(), options.control); !status.ok()) {
    return status;
  }
  return FromProto(response.module());
}

absl::StatusOr<ModuleInfo> SendBytes(Core& core, std::string_view bytes, const std::string& name,
                                     const UploadOptions& options) {
  const std::string digest = Sha256Digest(bytes);
  // An eager upload goes on even if the module is there: its functions may not be compiled yet.
  v1::GetModuleRequest request;
  request.set_digest(digest);
  v1::GetModuleResponse response;
  absl::Status status = core.Unary(&v1::ModuleService::Stub::GetModule, core.modules(), request,
                                   &response, options.control);
  if (status.ok() &&
      !(options.eager && response.module().compiled_funcs() < response.module().defined_funcs())) {
    return FromProto(response.module());
  }
  if (!status.ok() && !absl::IsNotFound(status)) {
    return status;
  }
  v1::UploadModuleHeader header;
  header.set_name(name);
  header.set_eager(options.eager);
  header.set_size_bytes(bytes.size());
  header.set_expected_digest(digest);
  return Send(core, std::move(header), bytes, options);
}

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

absl::StatusOr<ModuleInfo> Client::UploadModule(const ModuleSource& source,
                                                const UploadOptions& options) {
  std::string name = options.name.empty() ? std::string(BaseName(source.path())) : options.name;
  name.resize(std::min(name.size(), kMaxNameBytes));

  Fd opened;
  int fd = source.fd();
  if (!source.path().empty()) {
    absl::StatusOr<Fd> file = OpenFile(source.path());
    if (!file.ok()) {
      return file.status();
    }
    opened = *std::move(file);
    fd = opened.get();
  }
  if (fd < 0) {
    return SendBytes(*core_, source.bytes(), name, options);
  }
  if (core_->session().passes_descriptors && RegularFileSize(fd).has_value()) {
    absl::StatusOr<std::vector<uint64_t>> handles = core_->PassDescriptors(std::span(&fd, 1));
    if (!handles.ok()) {
      return handles.status();
    }
    v1::UploadModuleHeader header;
    header.set_name(name);
    header.set_eager(options.eager);
    header.set_size_bytes(*RegularFileSize(fd));
    header.set_descriptor_handle(handles->front());
    return Send(*core_, std::move(header), "", options);
  }
  const std::string_view shown =
      source.path().empty() ? std::string_view("the module's descriptor") : source.path();
  absl::StatusOr<std::string> bytes = ReadAll(fd, core_->session().max_module_bytes, shown);
  if (!bytes.ok()) {
    return bytes.status();
  }
  return SendBytes(*core_, *bytes, name, options);
}

}  // namespace wasmd::client
