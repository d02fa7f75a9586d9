#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "auth/user_file.h"
#include "base/clock.h"
#include "core/events.h"
#include "link/frame.h"
#include "millrace/v1/admin.pb.h"
#include "model/error.h"
#include "rpc/transport.h"
#include "services/proxy/broker_link.h"
#include "services/proxy/broker_query.h"

namespace millrace::proxy {

// Serves millrace.admin.v1.Admin (protos/millrace/v1/admin.proto) over the link to a broker set.
// Errors.    In-band: a number of the v2 enum Code and a text. What the broker refuses comes through as it said it.
// Updates.   Read, changed, written: of two updates of one name at the same moment the later one counts whole.
// Threads.   OnRequest from any thread; answers come from the link's thread. Never blocks.
// Lifetime.  `link`, `clock` and `users` outlive the service, the service every call.
class AdminService final : public rpc::Service {
 public:
  // `users`: who may call; null: anybody.
  AdminService(BrokerLink& link, const base::Clock& clock, const auth::UserFile* users = nullptr)
      : link_(link), clock_(clock), users_(users) {}

  std::optional<rpc::CallKind> Kind(absl::string_view method) const override;
  void OnRequest(std::shared_ptr<rpc::ServerCall> call, absl::string_view message) override;
  std::unique_ptr<rpc::StreamHandler> OnStream(std::shared_ptr<rpc::ServerCall> call) override;

 private:
  using Call = std::shared_ptr<rpc::ServerCall>;

  void CreateTopic(Call call, const admin::v1::CreateTopicRequest& request);
  void UpdateTopic(Call call, const admin::v1::UpdateTopicRequest& request);
  void DescribeTopic(Call call, const admin::v1::DescribeTopicRequest& request);
  void ListTopics(Call call, const admin::v1::ListTopicsRequest& request);
  void DeleteTopic(Call call, const admin::v1::DeleteTopicRequest& request);
  void CreateGroup(Call call, const admin::v1::CreateGroupRequest& request);
  void UpdateGroup(Call call, const admin::v1::UpdateGroupRequest& request);
  void DescribeGroup(Call call, const admin::v1::DescribeGroupRequest& request);
  void ListGroups(Call call, const admin::v1::ListGroupsRequest& request);
  void DeleteGroup(Call call, const admin::v1::DeleteGroupRequest& request);
  void GetMessage(Call call, const admin::v1::GetMessageRequest& request);

  using Handler = void (AdminService::*)(Call, absl::string_view message);
  // nullptr: no method of this service.
  static Handler FindHandler(absl::string_view method);
  template <typename Request, void (AdminService::*handler)(Call, const Request&)>
  void Run(Call call, absl::string_view message);

  void Ask(link::Op op, std::string payload, std::int64_t timeout_millis, BrokerAnswer then);
  void Query(const rpc::ServerCall& call, core::QueryKind kind, absl::string_view name, BrokerAnswer then);
  // Writes an encoded config and answers the call with what stands afterwards.
  void PutTopic(Call call, std::string name, std::string config, bool update);
  void PutGroup(Call call, std::string name, std::string config, bool update);
  template <typename Response>
  void Delete(Call call, link::Op op, const std::string& name);

  BrokerLink& link_;
  const base::Clock& clock_;
  const auth::UserFile* const users_;
};

}  // namespace millrace::proxy
