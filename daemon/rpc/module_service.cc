#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/server_context.h"

#include "daemon/config/text.h"
#include "daemon/observe/log.h"
#include "daemon/pool/engine_types.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/translate.h"
#include "daemon/rpc/unary_operation.h"
#include "daemon/session/session_manager.h"
#include "daemon/store/module_store.h"
#include "daemon/store/sections.h"
#include "engine/base/status_macros.h"
#include "proto/wasmd/v1/module.grpc.pb.h"

namespace wasmd::daemon {
namespace {

constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxChunkBytes = size_t{1} << 20;
// Imports and exports of one answer: more of them fit no message that clients take by default.
constexpr size_t kMaxListedExterns = 50'000;

// One upload: reads the header and the chunks, then waits for the store.
class UploadReactor final : public grpc::ServerReadReactor<v1::UploadModuleRequest> {
 public:
  UploadReactor(const RpcContext& rpc, const grpc::CallbackServerContext& context,
                v1::UploadModuleResponse& response)
      : store_(rpc.sessions.services().store), response_(response) {
    absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc, context);
    if (!session.ok()) {
      Finish(ToGrpc(session.status()));
      return;
    }
    session_ = *std::move(session);
    request_.account = session_->account()->parent();
    StartRead(&message_);
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) {
      // All is here; or the client has gone, and then it does not matter what is answered.
      if (request_.upload == nullptr) {
        Finish(ToGrpc(absl::InvalidArgumentError("an upload begins with its header")));
      } else if (announced_bytes_ != 0 && announced_bytes_ != request_.upload->size_bytes()) {
        Finish(
            ToGrpc(absl::InvalidArgumentError(StrCat(announced_bytes_, " bytes were announced and ",
                                                     request_.upload->size_bytes(), " came"))));
      } else {
        Load();
      }
      return;
    }
    const absl::Status taken = Take();
    if (!taken.ok()) {
      Finish(ToGrpc(taken));
    } else if (request_.file) {
      Load();
    } else {
      StartRead(&message_);
    }
  }

  absl::Status Take() {
    if (message_.has_header() != (request_.upload == nullptr) || message_.kind_case() == 0) {
      return absl::InvalidArgumentError("an upload is one header, then chunks");
    }
    if (!message_.has_header()) {
      if (message_.chunk().size() > kMaxChunkBytes) {
        return absl::InvalidArgumentError("a chunk has at most 1 MiB");
      }
      return request_.upload->Append(std::as_bytes(std::span(message_.chunk())));
    }
    const v1::UploadModuleHeader& header = message_.header();
    if (header.name().size() > kMaxNameBytes) {
      return absl::InvalidArgumentError("a module's name has at most 255 bytes");
    }
    request_.name = header.name();
    request_.expected_digest = header.expected_digest();
    request_.eager = header.eager();
    request_.upload = store_.NewUpload(request_.account);
    if (header.descriptor_handle() != 0) {
      WASMD_ASSIGN_OR_RETURN(request_.file, session_->TakeDescriptor(header.descriptor_handle()));
    }
    announced_bytes_ = header.size_bytes();
    return request_.upload->Expect(header.size_bytes());
  }

  void Load() {
    store_.Load(std::move(request_), [this](absl::StatusOr<ModuleStore::Loaded> loaded) {
      if (loaded.ok()) {
        ToWire(loaded->record, *response_.mutable_module());
        response_.set_already_present(loaded->already_present);
        Log(LogLevel::kDebug, "module uploaded",
            {{"digest", loaded->record.module->digest},
             {"name", loaded->record.name},
             {"bytes", loaded->record.module->size_bytes}});
      }
      Finish(ToGrpc(loaded.status()));
    });
  }

  void OnCancel() override { cancel_->store(true, std::memory_order_relaxed); }
  void OnDone() override { delete this; }

  ModuleStore& store_;
  v1::UploadModuleResponse& response_;
  std::shared_ptr<Session> session_;
  v1::UploadModuleRequest message_;
  uint64_t announced_bytes_ = 0;
  ModuleStore::LoadRequest request_;
  const std::shared_ptr<std::atomic<bool>> cancel_ = MakeCancel(request_);

  static std::shared_ptr<std::atomic<bool>> MakeCancel(ModuleStore::LoadRequest& request) {
    request.cancel = std::make_shared<std::atomic<bool>>(false);
    return request.cancel;
  }
};

class ModuleService final : public v1::ModuleService::CallbackService {
 public:
  explicit ModuleService(const RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerReadReactor<v1::UploadModuleRequest>* UploadModule(
      grpc::CallbackServerContext* context, v1::UploadModuleResponse* response) override {
    return new UploadReactor(rpc_, *context, *response);
  }

  grpc::ServerUnaryReactor* GetModule(grpc::CallbackServerContext* context,
                                      const v1::GetModuleRequest* request,
                                      v1::GetModuleResponse* response) override {
    return Answer(*context, Describe(*context, *request, *response));
  }

  grpc::ServerUnaryReactor* ListModules(grpc::CallbackServerContext* context,
                                        const v1::ListModulesRequest* /*request*/,
                                        v1::ListModulesResponse* response) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    if (session.ok()) {
      for (const ModuleRecord& record : store().List((*session)->identity().principal)) {
        ToWire(record, *response->add_modules());
      }
    }
    return Answer(*context, session.status());
  }

  grpc::ServerUnaryReactor* RemoveModule(grpc::CallbackServerContext* context,
                                         const v1::RemoveModuleRequest* request,
                                         v1::RemoveModuleResponse* /*response*/) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    return Answer(*context,
                  session.ok() ? store().Remove((*session)->identity().principal, request->digest())
                               : session.status());
  }

 private:
  ModuleStore& store() const { return rpc_.sessions.services().store; }

  absl::Status Describe(const grpc::CallbackServerContext& context,
                        const v1::GetModuleRequest& request,
                        v1::GetModuleResponse& response) const {
    WASMD_ASSIGN_OR_RETURN(const std::shared_ptr<Session> session, SessionOf(rpc_, context));
    WASMD_ASSIGN_OR_RETURN(const ModuleRecord record,
                           store().Find(session->identity().principal, request.digest()));
    ToWire(record, *response.mutable_module());
    if (!request.full()) {
      return absl::OkStatus();
    }
    const engine::LoadedModule& module = *record.module->module;
    const size_t externs = module.module().imports.size() + module.module().exports.size();
    if (externs > kMaxListedExterns) {
      return absl::ResourceExhaustedError(StrCat("the module has ", externs,
                                                 " imports and exports, and no more than ",
                                                 kMaxListedExterns, " are listed"));
    }
    for (const engine::ImportType& import : module.imports()) {
      v1::Import& wire = *response.add_imports();
      wire.set_module(WireText(import.module));
      wire.set_name(WireText(import.name));
      ToWire(import.type, *wire.mutable_type());
    }
    for (const engine::ExportType& exported : module.exports()) {
      v1::Export& wire = *response.add_exports();
      wire.set_name(WireText(exported.name));
      ToWire(exported.type, *wire.mutable_type());
    }
    for (const SectionInfo& section : ListSections(module.module().bytes)) {
      v1::Section& wire = *response.add_sections();
      wire.set_name(WireText(section.name));
      wire.set_size_bytes(section.size_bytes);
    }
    return absl::OkStatus();
  }

  const RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewModuleService(const RpcContext& rpc) {
  return std::make_unique<ModuleService>(rpc);
}

}  // namespace wasmd::daemon
