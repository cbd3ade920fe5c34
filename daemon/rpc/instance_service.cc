#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"

#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/rpc/rpc_context.h"
#include "daemon/rpc/services.h"
#include "daemon/rpc/translate.h"
#include "daemon/rpc/unary_operation.h"
#include "daemon/session/session_manager.h"
#include "engine/base/status_macros.h"
#include "proto/wasmd/v1/instance.grpc.pb.h"

namespace wasmd::daemon {
namespace {

constexpr uint64_t kMaxAccessBytes = uint64_t{1} << 20;

absl::Status CheckAccessSize(uint64_t size_bytes) {
  return size_bytes <= kMaxAccessBytes
             ? absl::OkStatus()
             : absl::InvalidArgumentError("at most 1 MiB of memory is read or written at a time");
}

class InstanceService final : public v1::InstanceService::CallbackService {
 public:
  explicit InstanceService(const RpcContext& rpc) : rpc_(rpc) {}

  grpc::ServerUnaryReactor* CreateInstance(grpc::CallbackServerContext* context,
                                           const v1::CreateInstanceRequest* request,
                                           v1::CreateInstanceResponse* response) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    if (!session.ok()) {
      return Answer(*context, session.status());
    }
    CreateInstanceSpec spec;
    spec.module = request->module();
    spec.wasi = request->wasi();
    spec.deadline = DeadlineOf(*context);
    spec.limits = FromWire(request->limits());
    for (const v1::ImportBinding& binding : request->imports()) {
      spec.imports.emplace_back(binding.module(), binding.instance());
    }
    return UnaryOperation::Start(*context, [&](const UnaryOperation::Pointer& operation) {
      return (*session)->CreateInstance(
          std::move(spec), [operation, response](absl::StatusOr<CreateInstanceResult> created) {
            if (created.ok()) {
              response->set_instance(created->instance);
              if (created->instance == 0) {
                ToWire(created->result, {}, *response->mutable_outcome());
              }
            }
            operation->End(created.status());
          });
    });
  }

  grpc::ServerUnaryReactor* DropInstance(grpc::CallbackServerContext* context,
                                         const v1::DropInstanceRequest* request,
                                         v1::DropInstanceResponse* /*response*/) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    return Answer(*context,
                  session.ok() ? (*session)->DropInstance(request->instance()) : session.status());
  }

  grpc::ServerUnaryReactor* ListInstances(grpc::CallbackServerContext* context,
                                          const v1::ListInstancesRequest* /*request*/,
                                          v1::ListInstancesResponse* response) override {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, *context);
    if (session.ok()) {
      for (const InstanceRecord& record : (*session)->ListInstances()) {
        v1::InstanceInfo& wire = *response->add_instances();
        wire.set_instance(record.instance);
        wire.set_module(record.module);
        wire.set_memory_bytes(record.memory_bytes);
        wire.set_invocations(record.invocations);
      }
    }
    return Answer(*context, session.status());
  }

  grpc::ServerUnaryReactor* ReadMemory(grpc::CallbackServerContext* context,
                                       const v1::ReadMemoryRequest* request,
                                       v1::ReadMemoryResponse* response) override {
    const absl::Status size_ok = CheckAccessSize(request->size_bytes());
    if (!size_ok.ok()) {
      return Answer(*context, size_ok);
    }
    return Access(*context, request->instance(), "memory read",
                  [request, response](engine::Instance& instance) -> absl::Status {
                    WASMD_ASSIGN_OR_RETURN(const engine::MemoryHandle memory,
                                           FindMemory(instance, request->memory()));
                    std::string data(request->size_bytes(), '\0');
                    WASMD_RETURN_IF_ERROR(
                        memory.Read(request->offset(), std::as_writable_bytes(std::span(data))));
                    response->set_data(std::move(data));
                    return absl::OkStatus();
                  });
  }

  grpc::ServerUnaryReactor* WriteMemory(grpc::CallbackServerContext* context,
                                        const v1::WriteMemoryRequest* request,
                                        v1::WriteMemoryResponse* /*response*/) override {
    const absl::Status size_ok = CheckAccessSize(request->data().size());
    if (!size_ok.ok()) {
      return Answer(*context, size_ok);
    }
    return Access(*context, request->instance(), "memory write",
                  [request](engine::Instance& instance) -> absl::Status {
                    WASMD_ASSIGN_OR_RETURN(const engine::MemoryHandle memory,
                                           FindMemory(instance, request->memory()));
                    return memory.Write(request->offset(),
                                        std::as_bytes(std::span(request->data())));
                  });
  }

  grpc::ServerUnaryReactor* GetGlobal(grpc::CallbackServerContext* context,
                                      const v1::GetGlobalRequest* request,
                                      v1::GetGlobalResponse* response) override {
    return Access(*context, request->instance(), "global read",
                  [request, response](engine::Instance& instance) -> absl::Status {
                    WASMD_ASSIGN_OR_RETURN(const engine::GlobalHandle global,
                                           instance.Global(request->global()));
                    const engine::Value value = global.Get();
                    ToWire(global.type(), *response->mutable_type());
                    if (engine::IsRef(value.type) && !value.is_null_ref()) {
                      return absl::FailedPreconditionError(
                          "the global holds a reference, and only null ones travel by GetGlobal");
                    }
                    ToWire(GuestValue{value, 0}, *response->mutable_value());
                    return absl::OkStatus();
                  });
  }

  grpc::ServerUnaryReactor* SetGlobal(grpc::CallbackServerContext* context,
                                      const v1::SetGlobalRequest* request,
                                      v1::SetGlobalResponse* /*response*/) override {
    const absl::StatusOr<GuestArgument> value = FromWire(request->value());
    if (!value.ok() || value->reference_handle != 0) {
      return Answer(*context, value.ok() ? absl::InvalidArgumentError(
                                               "a global can be set to a null reference only")
                                         : value.status());
    }
    return Access(*context, request->instance(), "global write",
                  [request, value = value->value](engine::Instance& instance) -> absl::Status {
                    WASMD_ASSIGN_OR_RETURN(const engine::GlobalHandle global,
                                           instance.Global(request->global()));
                    return global.Set(value);
                  });
  }

 private:
  grpc::ServerUnaryReactor* Access(grpc::CallbackServerContext& context, uint64_t instance,
                                   std::string what,
                                   std::function<absl::Status(engine::Instance&)> access) const {
    const absl::StatusOr<std::shared_ptr<Session>> session = SessionOf(rpc_, context);
    if (!session.ok()) {
      return Answer(context, session.status());
    }
    AccessSpec spec{instance, std::move(what), DeadlineOf(context), std::move(access)};
    return UnaryOperation::Start(context, [&](const UnaryOperation::Pointer& operation) {
      return (*session)->Access(
          std::move(spec), [operation](const absl::Status& status) { operation->End(status); });
    });
  }

  const RpcContext& rpc_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewInstanceService(const RpcContext& rpc) {
  return std::make_unique<InstanceService>(rpc);
}

}  // namespace wasmd::daemon
