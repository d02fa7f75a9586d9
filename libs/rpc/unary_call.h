#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "grpc/grpc.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/codegen/completion_queue_tag.h"
#include "grpcpp/impl/service_type.h"
#include "rpc/call_queue.h"
#include "rpc/transport.h"

// Inside the library only: it includes gRPC.
namespace millrace::rpc {

class UnaryCall;

// The methods that services name as frequent. gRPC reads their requests together with the call and takes the whole
// answer in one operation: two events per call, where a call of a generic service has four. It is gRPC's C interface
// that offers this, so UnaryCall uses that one.
// Lifetime. Calls share it. Registered with the builder before the server starts; Post() after.
class UnaryMethods {
 public:
  // `admit`: that of ServerOptions; may be null.
  UnaryMethods(const std::vector<Service*>& services, std::function<absl::Status(const ServerCall&)> admit);

  grpc::Service& registration() { return registration_; }

  // Asks gRPC for `calls` calls of each method on `queue`; each that comes is replaced.
  static void Post(const std::shared_ptr<UnaryMethods>& methods, grpc::Server& server, CallQueue& queue, int calls);
  // What handlers have not answered yet gets UNAVAILABLE. After the server has shut down.
  void EndUnanswered();

 private:
  friend class UnaryCall;

  struct Method {
    std::string name;
    Service* service = nullptr;
    grpc::internal::RpcServiceMethod* registered = nullptr;  // owned by the registration
  };
  // Tells gRPC about the methods; what is asked of them goes through the C interface.
  class Registration final : public grpc::Service {
   public:
    grpc::internal::RpcServiceMethod* Add(const std::string& name) {
      auto* method = new grpc::internal::RpcServiceMethod(name.c_str(), grpc::internal::RpcMethod::NORMAL_RPC, nullptr);
      AddMethod(method);  // which owns it
      return method;
    }
  };

  static void PostOne(const std::shared_ptr<UnaryMethods>& methods, const Method& method, CallQueue& queue);

  const std::function<absl::Status(const ServerCall&)> admit_;
  std::vector<Method> methods_;
  Registration registration_;
  grpc_server* server_ = nullptr;
  base::Mutex mu_;
  UnaryCall* unanswered_ ABSL_GUARDED_BY(mu_) = nullptr;  // head of a list
};

// One call of such a method. A cancellation shows when it is answered, not before.
class UnaryCall final : public ServerCall, public std::enable_shared_from_this<UnaryCall> {
 public:
  UnaryCall(std::shared_ptr<UnaryMethods> methods, const UnaryMethods::Method& method, CallQueue& queue);
  ~UnaryCall() override;

  absl::string_view method() const override { return method_.name; }
  absl::string_view Header(absl::string_view key) const override;
  absl::string_view authority() const override { return {}; }
  absl::string_view peer() const override;
  bool tls() const override;
  std::optional<std::int64_t> RemainingMillis() const override;
  void SendInitialMetadata() override {}  // leaves with the answer
  bool Write(std::string message) override;
  std::size_t UnsentBytes() const override;
  void Finish(const absl::Status& status) override;
  void WriteAndFinish(std::string message) override;
  void OnEnded(std::function<void(CallEnd)> then) override;

 private:
  friend class UnaryMethods;

  // What gRPC's queue wants around a tag.
  class Event final : public grpc::internal::CompletionQueueTag {
   public:
    explicit Event(Tag tag) : tag_(tag) {}
    bool FinalizeResult(void** tag, bool*) override {
      *tag = &tag_;
      return true;
    }

   private:
    Tag tag_;
  };

  void OnRequest(bool ok);
  void OnAnswered(bool ok);
  void Answer(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);  // the first time only

  const std::shared_ptr<UnaryMethods> methods_;
  const UnaryMethods::Method& method_;
  CallQueue& queue_;
  std::shared_ptr<UnaryCall> self_;  // while gRPC will report about it
  Event request_event_{TagOf<&UnaryCall::OnRequest>(this)};
  Event answered_event_{TagOf<&UnaryCall::OnAnswered>(this)};
  UnaryCall* next_ = nullptr;  // of methods_->unanswered_, under its lock
  UnaryCall** link_ = nullptr;

  // Written by gRPC before the request's event, constant after.
  grpc_call* call_ = nullptr;
  gpr_timespec deadline_{};
  grpc_metadata_array headers_;
  grpc_byte_buffer* request_ = nullptr;

  int cancelled_ = 0;  // written by gRPC before OnAnswered

  mutable base::Mutex mu_;
  grpc_byte_buffer* answer_ ABSL_GUARDED_BY(mu_) = nullptr;  // until OnAnswered
  grpc_slice details_ ABSL_GUARDED_BY(mu_);                  // of a status that is not OK, likewise
  mutable std::string peer_ ABSL_GUARDED_BY(mu_);            // written once
  std::optional<std::string> message_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<CallEnd> end_ ABSL_GUARDED_BY(mu_);
  std::function<void(CallEnd)> then_ ABSL_GUARDED_BY(mu_);
};

}  // namespace millrace::rpc
