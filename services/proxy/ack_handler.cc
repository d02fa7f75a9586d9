#include "services/proxy/ack_handler.h"

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "apache/rocketmq/v2/service.pb.h"
#include "base/mutex.h"
#include "link/messages.h"
#include "services/proxy/answers.h"
#include "services/proxy/durations.h"
#include "services/proxy/route_checks.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using model::Error;
using model::ErrorCode;

constexpr std::int64_t kInvisibleMillisMax = 12ll * 3'600 * 1'000;

// Gets the payload of an OK reply, or the error. Called once.
using Then = std::function<void(const model::Result<absl::string_view>&)>;

struct Names {
  std::string topic, group;  // full names
};

// The names that the three requests have in common.
template <typename Request>
model::Result<Names> NamesOf(const RequestContext& context, const Request& request) {
  auto topic = context.Topic(request.topic());
  if (!topic.ok()) return topic.error();
  auto group = context.Group(request.group());
  if (!group.ok()) return group.error();
  return Names{*std::move(topic), *std::move(group)};
}

std::optional<Error> CheckHandle(absl::string_view handle) {
  if (!handle.empty()) return std::nullopt;
  return Error{ErrorCode::kInvalidReceiptHandle,
               "the receipt handle is empty: send the one that the message was delivered with"};
}

void CallBroker(BrokerLink& link, link::Op op, const link::HandleRequest& request, std::int64_t timeout_millis,
                const Then& then) {
  std::string record;
  link::Encode(request, record);
  link.Call(op, std::move(record), timeout_millis, [then](const link::Record& answer) {
    const auto reply = link::Decode<link::Reply>(answer.payload);
    if (!reply) {
      return then(Error{ErrorCode::kInternalServerError,
                        "the broker's answer does not decode: run proxy and broker of the same or adjacent releases"});
    }
    if (reply->code != kOk) return then(BrokerError(reply->code, reply->text));
    then(reply->payload);
  });
}

// Whoever takes messages from a topic needs no readable queue to give them back.
BrokerLink& LinkOf(const TopicRoute& route) {
  const auto set = ReadableSet(route, {});
  return set.ok() ? *(*set)->link : *route.sets.front().link;
}

void WithLink(const ServiceParts& parts, const std::string& topic,
              std::function<void(const model::Result<BrokerLink*>&)> then) {
  if (const auto route = parts.directory.CachedTopic(topic)) return then(&LinkOf(*route));
  parts.directory.FindTopic(topic, [then = std::move(then)](const model::Result<Directory::RoutePtr>& route) {
    if (!route.ok()) return then(route.error());
    then(&LinkOf(**route));
  });
}

// The entries of one AckMessage, filled in as their answers come.
class PendingAck {
 public:
  PendingAck(const ServiceParts& parts, RequestContext context, const v2::AckMessageRequest& request)
      : parts_(parts), context_(std::move(context)) {
    for (const v2::AckMessageEntry& entry : request.entries()) {
      v2::AckMessageResultEntry& result = *response_.add_entries();
      result.set_message_id(entry.message_id());
      result.set_receipt_handle(entry.receipt_handle());
    }
    codes_.resize(static_cast<std::size_t>(request.entries_size()));
    missing_ = codes_.size();
  }

  const v2::AckMessageResponse& response() const { return response_; }

  void Settle(std::size_t index, const std::optional<Error>& error) {
    bool complete = false;
    {
      base::MutexLock lock(mu_);
      v2::Status& status = *response_.mutable_entries(static_cast<int>(index))->mutable_status();
      error ? SetError(status, *error) : SetOk(status);
      codes_[index] = error ? error->number() : kOk;
      complete = --missing_ == 0;
    }
    if (error) NoteRefusal(parts_, context_, *error);
    if (complete) Finish();
  }

  // The whole request is refused.
  void Refuse(const Error& error) {
    NoteRefusal(parts_, context_, error);
    SetError(*response_.mutable_status(), error);
    for (v2::AckMessageResultEntry& entry : *response_.mutable_entries()) SetError(*entry.mutable_status(), error);
    Answer(parts_, context_, error.number(), response_.SerializeAsString());
  }

 private:
  void Finish() {
    const int code = AggregateCode(codes_);
    SetStatus(*response_.mutable_status(), code, code == kOk ? "OK" : CodeName(code));
    Answer(parts_, context_, code, response_.SerializeAsString());
  }

  const ServiceParts& parts_;
  const RequestContext context_;
  base::Mutex mu_;
  v2::AckMessageResponse response_;
  std::vector<int> codes_;
  std::size_t missing_ = 0;
};

void AckEntries(const std::shared_ptr<PendingAck>& pending, const Names& names, std::int64_t timeout_millis,
                BrokerLink& link) {
  // Answers may come while the loop still runs, so it reads copies.
  std::vector<std::string> handles;
  for (const auto& entry : pending->response().entries()) handles.push_back(entry.receipt_handle());
  for (std::size_t i = 0; i < handles.size(); ++i) {
    if (const auto error = CheckHandle(handles[i])) {
      pending->Settle(i, error);
      continue;
    }
    CallBroker(link, link::Op::kAck, {.topic = names.topic, .group = names.group, .handle = handles[i]}, timeout_millis,
               [pending, i](const model::Result<absl::string_view>& reply) {
                 pending->Settle(i, reply.ok() ? std::nullopt : std::make_optional(reply.error()));
               });
  }
}

std::string ChangedAnswer(absl::string_view handle) {
  v2::ChangeInvisibleDurationResponse response;
  SetOk(*response.mutable_status());
  response.set_receipt_handle(handle.data(), handle.size());
  return response.SerializeAsString();
}

void RefuseChange(const ServiceParts& parts, const RequestContext& context, const std::string& handle,
                  const Error& error) {
  NoteRefusal(parts, context, error);
  v2::ChangeInvisibleDurationResponse response;
  SetError(*response.mutable_status(), error);
  response.set_receipt_handle(handle);
  Answer(parts, context, error.number(), response.SerializeAsString());
}

std::optional<Error> CheckDuration(std::int64_t millis) {
  if (millis >= 0 && millis <= kInvisibleMillisMax) return std::nullopt;
  return Error{ErrorCode::kIllegalInvisibleTime,
               absl::StrCat("invisible_duration is ", millis, " ms, it must be between 0 and ", kInvisibleMillisMax,
                            " ms: choose one in between")};
}

}  // namespace

void AckHandler::HandleAck(const RequestContext& context, absl::string_view bytes) {
  v2::AckMessageRequest request;
  if (!Decode(parts_, context, bytes, request)) return;
  auto pending = std::make_shared<PendingAck>(parts_, context, request);
  auto names = NamesOf(context, request);
  if (!names.ok()) return pending->Refuse(names.error());
  if (request.entries().empty()) {
    return pending->Refuse({ErrorCode::kBadRequest, "the request acknowledges nothing: send at least one entry"});
  }
  parts_.clients.Saw(context.client_id(), names->group);
  WithLink(parts_, names->topic,
           [pending, names = *names, timeout = context.BrokerMillis()](const model::Result<BrokerLink*>& link) {
             if (!link.ok()) return pending->Refuse(link.error());
             AckEntries(pending, names, timeout, **link);
           });
}

void AckHandler::HandleChange(const RequestContext& context, absl::string_view bytes) {
  auto request = std::make_shared<v2::ChangeInvisibleDurationRequest>();
  if (!Decode(parts_, context, bytes, *request)) return;
  const auto refuse = [this, context, request](const Error& error) {
    RefuseChange(parts_, context, request->receipt_handle(), error);
  };
  auto names = NamesOf(context, *request);
  if (!names.ok()) return refuse(names.error());
  const std::int64_t millis = MillisOf(request->invisible_duration());
  if (const auto error = CheckDuration(millis)) return refuse(*error);
  if (const auto error = CheckHandle(request->receipt_handle())) return refuse(*error);
  parts_.clients.Saw(context.client_id(), names->group);
  WithLink(parts_, names->topic, [this, context, request, refuse, names = *names, millis](const auto& link) {
    if (!link.ok()) return refuse(link.error());
    CallBroker(**link, link::Op::kChangeInvisible,
               {.topic = names.topic,
                .group = names.group,
                .handle = request->receipt_handle(),
                .duration_millis = millis,
                .suspend = request->suspend()},
               context.BrokerMillis(), [this, context, request, refuse](const model::Result<absl::string_view>& reply) {
                 if (!reply.ok()) return refuse(reply.error());
                 Answer(parts_, context, kOk,
                        ChangedAnswer(reply->empty() ? absl::string_view(request->receipt_handle()) : *reply));
               });
  });
}

void AckHandler::HandleForward(const RequestContext& context, absl::string_view bytes) {
  auto request = std::make_shared<v2::ForwardMessageToDeadLetterQueueRequest>();
  if (!Decode(parts_, context, bytes, *request)) return;
  auto names = NamesOf(context, *request);
  if (!names.ok()) return Refuse(parts_, context, names.error());
  if (const auto error = CheckHandle(request->receipt_handle())) return Refuse(parts_, context, *error);
  parts_.clients.Saw(context.client_id(), names->group);
  WithLink(parts_, names->topic, [this, context, request, names = *names](const model::Result<BrokerLink*>& link) {
    if (!link.ok()) return Refuse(parts_, context, link.error());
    CallBroker(**link, link::Op::kForwardDeadLetter,
               {.topic = names.topic, .group = names.group, .handle = request->receipt_handle()},
               context.BrokerMillis(), [this, context](const model::Result<absl::string_view>& reply) {
                 if (!reply.ok()) return Refuse(parts_, context, reply.error());
                 Answer(parts_, context, kOk, OkAnswer());
               });
  });
}

}  // namespace millrace::proxy
