#include "services/proxy/admin_service.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/bytes.h"
#include "base/check.h"
#include "core/metadata.h"
#include "link/messages.h"
#include "model/names.h"
#include "services/proxy/admin_ages.h"
#include "services/proxy/admin_convert.h"

namespace millrace::proxy {
namespace {

namespace v1 = admin::v1;
namespace v2 = apache::rocketmq::v2;

constexpr absl::string_view kMethodPrefix = "/millrace.admin.v1.Admin/";
// A broker answers a change of metadata after its flush; longer than that means trouble that the caller should hear of.
constexpr std::int64_t kBrokerTimeoutMillis = 5'000;
constexpr std::int64_t kAnswerMarginMillis = 200;

template <typename Response>
void Finish(rpc::ServerCall& call, Response response) {
  response.mutable_status()->set_code(v2::OK);
  call.WriteAndFinish(response.SerializeAsString());
}

template <typename Response>
void Refuse(rpc::ServerCall& call, const model::Error& error) {
  Response response;
  response.mutable_status()->set_code(error.number());
  response.mutable_status()->set_text(error.text);
  call.WriteAndFinish(response.SerializeAsString());
}

// The broker's answer does not decode: a broker of another version, or a defect.
template <typename Response>
void RefuseUnreadable(rpc::ServerCall& call, absl::string_view what) {
  Refuse<Response>(call, {model::ErrorCode::kInternalServerError,
                          absl::StrCat("the broker's answer for ", what,
                                       " does not decode; run broker and proxy of the same or adjacent releases")});
}

std::int64_t TimeoutOf(const rpc::ServerCall& call) {
  const std::int64_t remaining = call.RemainingMillis().value_or(kBrokerTimeoutMillis + kAnswerMarginMillis);
  return std::clamp<std::int64_t>(remaining - kAnswerMarginMillis, 1, kBrokerTimeoutMillis);
}

// Calls `each` with every item of a list reply. False when the list does not decode.
bool ForEachItem(absl::string_view payload, const std::function<bool(absl::string_view)>& each) {
  base::ByteReader reader(payload);
  while (!reader.AtEnd()) {
    const absl::string_view item = reader.ReadBytes(reader.Read<std::uint32_t>());
    if (!reader.ok() || !each(item)) return false;
  }
  return true;
}

std::optional<model::Error> CheckNewTopic(const std::string& name) {
  if (auto error = model::ValidateTopic(name)) return error;
  if (!model::IsDeadLetterTopic(name)) return std::nullopt;
  return model::Error{model::ErrorCode::kIllegalTopic,
                      absl::StrCat("topic ", name,
                                   " is a dead letter topic: it comes with the first dead letter of "
                                   "its group; choose a name without the prefix ",
                                   model::kDeadLetterPrefix)};
}

// Sorted by topic name, queues by number; sums on the way.
v1::DescribeGroupResponse ToResponse(const core::GroupProgress& progress) {
  v1::DescribeGroupResponse response;
  ToProto(progress.group, *response.mutable_group());
  response.set_clients(progress.clients);
  response.mutable_progress();
  std::map<std::string, std::vector<const core::QueueProgress*>> topics;
  for (const core::QueueProgress& queue : progress.queues) topics[queue.topic].push_back(&queue);
  for (auto& [name, queues] : topics) {
    std::sort(queues.begin(), queues.end(), [](const auto* a, const auto* b) { return a->queue < b->queue; });
    v1::GroupTopic& topic = *response.add_topics();
    topic.set_topic(name);
    topic.mutable_progress();
    for (const core::QueueProgress* from : queues) {
      v1::GroupQueue& queue = *topic.add_queues();
      queue.set_topic(name);
      queue.set_queue(static_cast<std::uint32_t>(from->queue));
      queue.set_minimum(from->minimum);
      queue.set_maximum(from->maximum);
      queue.set_next(from->next);
      if (from->oldest_open_offset >= 0) queue.set_oldest_open_offset(from->oldest_open_offset);
      ToProto(*from, *queue.mutable_progress());
      Add(queue.progress(), *topic.mutable_progress());
    }
    Add(topic.progress(), *response.mutable_progress());
  }
  return response;
}

}  // namespace

template <typename Request, void (AdminService::*handler)(AdminService::Call, const Request&)>
void AdminService::Run(Call call, absl::string_view message) {
  Request request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    call->Finish(absl::InvalidArgumentError(absl::StrCat("the request's ", message.size(), " bytes are not a ",
                                                         request.GetTypeName(),
                                                         "; generate the client from protos/millrace/v1/admin.proto")));
    return;
  }
  (this->*handler)(std::move(call), request);
}

AdminService::Handler AdminService::FindHandler(absl::string_view method) {
  using S = AdminService;
  static constexpr std::pair<absl::string_view, Handler> kHandlers[] = {
      {"CreateTopic", &S::Run<v1::CreateTopicRequest, &S::CreateTopic>},
      {"UpdateTopic", &S::Run<v1::UpdateTopicRequest, &S::UpdateTopic>},
      {"DescribeTopic", &S::Run<v1::DescribeTopicRequest, &S::DescribeTopic>},
      {"ListTopics", &S::Run<v1::ListTopicsRequest, &S::ListTopics>},
      {"DeleteTopic", &S::Run<v1::DeleteTopicRequest, &S::DeleteTopic>},
      {"CreateGroup", &S::Run<v1::CreateGroupRequest, &S::CreateGroup>},
      {"UpdateGroup", &S::Run<v1::UpdateGroupRequest, &S::UpdateGroup>},
      {"DescribeGroup", &S::Run<v1::DescribeGroupRequest, &S::DescribeGroup>},
      {"ListGroups", &S::Run<v1::ListGroupsRequest, &S::ListGroups>},
      {"DeleteGroup", &S::Run<v1::DeleteGroupRequest, &S::DeleteGroup>},
      {"GetMessage", &S::Run<v1::GetMessageRequest, &S::GetMessage>},
  };
  if (!absl::ConsumePrefix(&method, kMethodPrefix)) return nullptr;
  for (const auto& [name, handler] : kHandlers) {
    if (name == method) return handler;
  }
  return nullptr;
}

std::optional<rpc::CallKind> AdminService::Kind(absl::string_view method) const {
  if (FindHandler(method) == nullptr) return std::nullopt;
  return rpc::CallKind::kUnary;
}

void AdminService::OnRequest(Call call, absl::string_view message) {
  const Handler handler = FindHandler(call->method());
  MR_CHECK(handler != nullptr);
  if (users_ != nullptr) {
    // The status is the first field of every answer.
    if (const auto refusal = users_->Check(*call)) {
      return Refuse<v1::TopicResponse>(*call, {model::ErrorCode::kUnauthorized, refusal->text});
    }
  }
  (this->*handler)(std::move(call), message);
}

std::unique_ptr<rpc::StreamHandler> AdminService::OnStream(Call) { return nullptr; }

void AdminService::Ask(link::Op op, std::string payload, std::int64_t timeout_millis, BrokerAnswer then) {
  AskBroker(link_, op, std::move(payload), timeout_millis, std::move(then));
}

void AdminService::Query(const rpc::ServerCall& call, core::QueryKind kind, absl::string_view name, BrokerAnswer then) {
  QueryBroker(link_, kind, name, TimeoutOf(call), std::move(then));
}

void AdminService::CreateTopic(Call call, const v1::CreateTopicRequest& request) {
  core::TopicConfig config;
  config.name = request.name();
  auto error = CheckNewTopic(request.name());
  if (!error) error = Apply(request.settings(), false, config);
  if (error) return Refuse<v1::TopicResponse>(*call, *error);
  std::string encoded;
  core::Encode(config, encoded);
  PutTopic(std::move(call), request.name(), std::move(encoded), false);
}

void AdminService::UpdateTopic(Call call, const v1::UpdateTopicRequest& request) {
  if (auto error = CheckNewTopic(request.name())) return Refuse<v1::TopicResponse>(*call, *error);
  Query(*call, core::QueryKind::kTopic, request.name(), [this, call, request](const model::Result<std::string>& found) {
    if (!found.ok()) return Refuse<v1::TopicResponse>(*call, found.error());
    auto config = core::DecodeTopic(*found);
    if (!config) return RefuseUnreadable<v1::TopicResponse>(*call, request.name());
    if (auto error = Apply(request.settings(), true, *config)) {
      return Refuse<v1::TopicResponse>(*call, *error);
    }
    std::string encoded;
    core::Encode(*config, encoded);
    PutTopic(call, request.name(), std::move(encoded), true);
  });
}

void AdminService::PutTopic(Call call, std::string name, std::string config, bool update) {
  std::string payload;
  link::Encode(link::MetadataRequest{update ? 1u : 0u, name, config}, payload);
  const std::int64_t timeout_millis = TimeoutOf(*call);
  Ask(link::Op::kPutTopic, std::move(payload), timeout_millis,
      [this, call, name](const model::Result<std::string>& put) {
        if (!put.ok()) return Refuse<v1::TopicResponse>(*call, put.error());
        Query(*call, core::QueryKind::kTopic, name, [call, name](const model::Result<std::string>& found) {
          if (!found.ok()) return Refuse<v1::TopicResponse>(*call, found.error());
          const auto stands = core::DecodeTopic(*found);
          if (!stands) return RefuseUnreadable<v1::TopicResponse>(*call, name);
          v1::TopicResponse response;
          ToProto(*stands, *response.mutable_topic());
          Finish(*call, std::move(response));
        });
      });
}

void AdminService::DescribeTopic(Call call, const v1::DescribeTopicRequest& request) {
  using Response = v1::DescribeTopicResponse;
  if (auto error = model::ValidateTopic(request.name())) return Refuse<Response>(*call, *error);
  const std::string name = request.name();
  Query(*call, core::QueryKind::kTopic, name, [this, call, name](const model::Result<std::string>& found) {
    if (!found.ok()) return Refuse<Response>(*call, found.error());
    const auto config = core::DecodeTopic(*found);
    if (!config) return RefuseUnreadable<Response>(*call, name);
    Response response;
    ToProto(*config, *response.mutable_topic());
    Query(*call, core::QueryKind::kTopicProgress, name,
          [call, name, response](const model::Result<std::string>& counted) mutable {
            if (!counted.ok()) return Refuse<Response>(*call, counted.error());
            const auto progress = core::DecodeProgress(*counted);
            if (!progress) return RefuseUnreadable<Response>(*call, name);
            for (const core::QueueProgress& from : progress->queues) {
              v1::TopicQueue& queue = *response.add_queues();
              queue.set_queue(static_cast<std::uint32_t>(from.queue));
              queue.set_minimum(from.minimum);
              queue.set_maximum(from.maximum);
            }
            Finish(*call, std::move(response));
          });
  });
}

void AdminService::ListTopics(Call call, const v1::ListTopicsRequest& request) {
  using Response = v1::ListTopicsResponse;
  Query(*call, core::QueryKind::kTopics, "",
        [call, system = request.system()](const model::Result<std::string>& found) {
          if (!found.ok()) return Refuse<Response>(*call, found.error());
          std::map<std::string, core::TopicConfig> topics;
          const bool readable = ForEachItem(*found, [&topics](absl::string_view item) {
            auto config = core::DecodeTopic(item);
            if (config) topics.insert_or_assign(config->name, *config);
            return config.has_value();
          });
          if (!readable) return RefuseUnreadable<Response>(*call, "the list of topics");
          Response response;
          for (const auto& [name, config] : topics) {
            const bool is_system =
                model::IsSystemTopic(name) ||
                (model::IsDeadLetterTopic(name) && model::IsSystemGroup(model::GroupOfDeadLetterTopic(name)));
            if (system || !is_system) ToProto(config, *response.add_topics());
          }
          Finish(*call, std::move(response));
        });
}

template <typename Response>
void AdminService::Delete(Call call, link::Op op, const std::string& name) {
  std::string payload;
  link::Encode(link::MetadataRequest{0, name, {}}, payload);
  const std::int64_t timeout_millis = TimeoutOf(*call);
  Ask(op, std::move(payload), timeout_millis, [call](const model::Result<std::string>& deleted) {
    if (!deleted.ok()) return Refuse<Response>(*call, deleted.error());
    Finish(*call, Response());
  });
}

void AdminService::DeleteTopic(Call call, const v1::DeleteTopicRequest& request) {
  using Response = v1::DeleteTopicResponse;
  if (auto error = model::ValidateTopic(request.name())) return Refuse<Response>(*call, *error);
  Delete<Response>(std::move(call), link::Op::kDeleteTopic, request.name());
}

void AdminService::CreateGroup(Call call, const v1::CreateGroupRequest& request) {
  core::GroupConfig config;
  config.name = request.name();
  auto error = model::ValidateConsumerGroup(request.name());
  if (!error) error = Apply(request.settings(), config);
  if (error) return Refuse<v1::GroupResponse>(*call, *error);
  std::string encoded;
  core::Encode(config, encoded);
  PutGroup(std::move(call), request.name(), std::move(encoded), false);
}

void AdminService::UpdateGroup(Call call, const v1::UpdateGroupRequest& request) {
  if (auto error = model::ValidateConsumerGroup(request.name())) return Refuse<v1::GroupResponse>(*call, *error);
  Query(*call, core::QueryKind::kGroup, request.name(), [this, call, request](const model::Result<std::string>& found) {
    if (!found.ok()) return Refuse<v1::GroupResponse>(*call, found.error());
    auto config = core::DecodeGroup(*found);
    if (!config) return RefuseUnreadable<v1::GroupResponse>(*call, request.name());
    if (auto error = Apply(request.settings(), *config)) return Refuse<v1::GroupResponse>(*call, *error);
    std::string encoded;
    core::Encode(*config, encoded);
    PutGroup(call, request.name(), std::move(encoded), true);
  });
}

void AdminService::PutGroup(Call call, std::string name, std::string config, bool update) {
  std::string payload;
  link::Encode(link::MetadataRequest{update ? 1u : 0u, name, config}, payload);
  const std::int64_t timeout_millis = TimeoutOf(*call);
  Ask(link::Op::kPutGroup, std::move(payload), timeout_millis,
      [this, call, name](const model::Result<std::string>& put) {
        if (!put.ok()) return Refuse<v1::GroupResponse>(*call, put.error());
        Query(*call, core::QueryKind::kGroup, name, [call, name](const model::Result<std::string>& found) {
          if (!found.ok()) return Refuse<v1::GroupResponse>(*call, found.error());
          const auto stands = core::DecodeGroup(*found);
          if (!stands) return RefuseUnreadable<v1::GroupResponse>(*call, name);
          v1::GroupResponse response;
          ToProto(*stands, *response.mutable_group());
          Finish(*call, std::move(response));
        });
      });
}

void AdminService::DescribeGroup(Call call, const v1::DescribeGroupRequest& request) {
  using Response = v1::DescribeGroupResponse;
  if (auto error = model::ValidateConsumerGroup(request.name())) return Refuse<Response>(*call, *error);
  const std::string name = request.name();
  const std::int64_t deadline_millis = clock_.MonotonicMillis() + TimeoutOf(*call);
  Query(*call, core::QueryKind::kGroupProgress, name,
        [this, call, name, deadline_millis](const model::Result<std::string>& found) {
          if (!found.ok()) return Refuse<Response>(*call, found.error());
          const auto progress = core::DecodeProgress(*found);
          if (!progress) return RefuseUnreadable<Response>(*call, name);
          FillAges(link_, clock_, deadline_millis, ToResponse(*progress),
                   [call](Response response) { Finish(*call, std::move(response)); });
        });
}

void AdminService::ListGroups(Call call, const v1::ListGroupsRequest& request) {
  using Response = v1::ListGroupsResponse;
  Query(*call, core::QueryKind::kGroups, "",
        [call, system = request.system()](const model::Result<std::string>& found) {
          if (!found.ok()) return Refuse<Response>(*call, found.error());
          std::map<std::string, core::GroupConfig> groups;
          const bool readable = ForEachItem(*found, [&groups](absl::string_view item) {
            auto config = core::DecodeGroup(item);
            if (config) groups.insert_or_assign(config->name, *config);
            return config.has_value();
          });
          if (!readable) return RefuseUnreadable<Response>(*call, "the list of groups");
          Response response;
          for (const auto& [name, config] : groups) {
            if (system || !model::IsSystemGroup(name)) ToProto(config, *response.add_groups());
          }
          Finish(*call, std::move(response));
        });
}

void AdminService::DeleteGroup(Call call, const v1::DeleteGroupRequest& request) {
  using Response = v1::DeleteGroupResponse;
  if (auto error = model::ValidateConsumerGroup(request.name())) return Refuse<Response>(*call, *error);
  Delete<Response>(std::move(call), link::Op::kDeleteGroup, request.name());
}

void AdminService::GetMessage(Call call, const v1::GetMessageRequest& request) {
  using Response = v1::GetMessageResponse;
  auto error = model::ValidateTopic(request.topic());
  if (!error && request.offset() < 0) {
    error = model::Error{model::ErrorCode::kIllegalOffset,
                         absl::StrCat("the queue offset is ", request.offset(), "; offsets start at 0")};
  }
  if (error) return Refuse<Response>(*call, *error);
  std::string payload;
  link::Encode(link::GetMessage{request.topic(), request.queue(), request.offset()}, payload);
  const std::string topic = request.topic();
  const std::int64_t timeout_millis = TimeoutOf(*call);
  Ask(link::Op::kGetMessage, std::move(payload), timeout_millis,
      [call, topic](const model::Result<std::string>& found) {
        if (!found.ok()) return Refuse<Response>(*call, found.error());
        const auto delivery = link::Decode<link::Delivery>(*found);
        auto message = delivery ? ToMessage(topic, *delivery) : std::nullopt;
        if (!message) return RefuseUnreadable<Response>(*call, absl::StrCat("a message of ", topic));
        Response response;
        *response.mutable_message() = *std::move(message);
        Finish(*call, std::move(response));
      });
}

}  // namespace millrace::proxy
