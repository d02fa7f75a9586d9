#include "services/proxy/receive_handler.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "link/messages.h"
#include "model/tag_filter.h"
#include "model/text.h"
#include "services/proxy/durations.h"
#include "services/proxy/receive_stream.h"
#include "services/proxy/route_checks.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using model::Error;
using model::ErrorCode;

constexpr std::int64_t kPollMillisMin = 5'000;
constexpr std::int64_t kPollMillisMax = 20'000;
constexpr std::int64_t kPollMarginMillis = 500;   // the stream ends this long before the client's deadline
constexpr std::int64_t kBrokerGraceMillis = 250;  // of it: what the broker's answer may be late at least
constexpr std::int64_t kBrokerGraceMillisMax = 2'000;
constexpr std::int64_t kRequestTimeoutMillis = 3'000;
constexpr std::int64_t kInvisibleMillisMin = 10'000;
constexpr std::int64_t kInvisibleMillisMax = 12ll * 3'600 * 1'000;
constexpr std::int32_t kBatchMax = 32;
constexpr std::uint32_t kAnswerBytesMax = 8u << 20;

// The normalised tag list of a receive.
model::Result<std::string> FilterOf(const v2::FilterExpression& filter) {
  if (filter.type() == v2::SQL) {
    if (model::IsBlank(filter.expression())) {
      return Error{ErrorCode::kIllegalFilterExpression, "the SQL filter is blank: write a condition, or use tag '*'"};
    }
    return Error{ErrorCode::kNotImplemented, "SQL filters are not offered: subscribe with a tag filter ('A || B')"};
  }
  const auto tags = model::TagFilter::Parse(filter.expression());
  if (!tags.ok()) return tags.error();
  return tags->text();
}

model::Result<std::int64_t> InvisibleMillisOf(const v2::ReceiveMessageRequest& request) {
  if (request.auto_renew()) return std::int64_t{0};
  const std::int64_t millis = MillisOf(request.invisible_duration());
  if (millis >= kInvisibleMillisMin && millis <= kInvisibleMillisMax) return millis;
  return Error{ErrorCode::kIllegalInvisibleTime,
               absl::StrCat("invisible_duration is ", millis, " ms, it must be between ", kInvisibleMillisMin, " and ",
                            kInvisibleMillisMax, " ms: choose one in between, or set auto_renew")};
}

// What has been read and checked, while the topic is looked up.
struct PendingReceive {
  v2::ReceiveMessageRequest request;
  std::string topic, group, filter;
  std::int64_t invisible_millis = 0;
};

std::optional<Error> Check(const RequestContext& context, PendingReceive& pending) {
  const v2::ReceiveMessageRequest& request = pending.request;
  auto topic = context.Topic(request.message_queue().topic());
  if (!topic.ok()) return topic.error();
  auto group = context.Group(request.group());
  if (!group.ok()) return group.error();
  const auto invisible = InvisibleMillisOf(request);
  if (!invisible.ok()) return invisible.error();
  auto filter = FilterOf(request.filter_expression());
  if (!filter.ok()) return filter.error();
  pending.topic = *std::move(topic);
  pending.group = *std::move(group);
  pending.filter = *std::move(filter);
  pending.invisible_millis = *invisible;
  return std::nullopt;
}

// Push consumers of ordered groups poll every queue that they are assigned, and all are assigned to all of them. Any
// other number comes from a client that goes round the queues of a route: it gets what is ready in any of them.
std::int32_t QueueOf(const v2::ReceiveMessageRequest& request, const SetRoute& set) {
  const std::int32_t queue = request.message_queue().id();
  const bool polls_all_queues = request.auto_renew() && queue >= 0 && queue < static_cast<std::int32_t>(set.queues);
  return polls_all_queues ? queue : -1;
}

std::string EncodeRecord(const PendingReceive& pending, const RequestContext& context, const SetRoute& set,
                         std::int64_t wait_millis) {
  const v2::ReceiveMessageRequest& request = pending.request;
  std::string record;
  link::Encode({.topic = pending.topic,
                .group = pending.group,
                .client = context.client_id(),
                .attempt_id = request.attempt_id(),
                .filter = pending.filter,
                .invisible_millis = pending.invisible_millis,
                .wait_millis = wait_millis,
                .queue = QueueOf(request, set),
                .batch = static_cast<std::uint32_t>(std::clamp(request.batch_size(), 1, kBatchMax)),
                .bytes_max = kAnswerBytesMax,
                .auto_renew = request.auto_renew(),
                .auto_create = true},  // of the group, if the broker is set so
               record);
  return record;
}

// Until when the link waits for an answer to a receive that waits `wait_millis` at the broker.
std::int64_t LinkMillis(std::int64_t wait_millis, std::optional<std::int64_t> remaining_millis) {
  const std::int64_t longest = wait_millis + kBrokerGraceMillisMax;
  if (!remaining_millis) return longest;
  return std::max(wait_millis + kBrokerGraceMillis, std::min(longest, *remaining_millis - kBrokerGraceMillis));
}

}  // namespace

std::int64_t PollMillis(std::optional<std::int64_t> wanted_millis, std::optional<std::int64_t> remaining_millis,
                        std::int64_t request_timeout_millis) {
  std::int64_t poll = kPollMillisMax;
  if (wanted_millis) {
    poll = *wanted_millis;
  } else if (remaining_millis) {
    poll = *remaining_millis - request_timeout_millis / 2;
  }
  poll = std::clamp(poll, kPollMillisMin, kPollMillisMax);
  if (remaining_millis) poll = std::min(poll, *remaining_millis - kPollMarginMillis);
  return std::max<std::int64_t>(poll, 0);
}

void ReceiveHandler::Handle(const RequestContext& context, absl::string_view bytes) {
  auto pending = std::make_shared<PendingReceive>();
  if (!pending->request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return EndWithStatus(parts_, context, Undecodable(context, bytes.size()));
  }
  if (const auto error = Check(context, *pending)) return EndWithStatus(parts_, context, *error);
  parts_.clients.Saw(context.client_id(), pending->group);

  const auto pass_on = [this, context, pending](const model::Result<Directory::RoutePtr>& route) {
    if (!route.ok()) return EndWithStatus(parts_, context, route.error());
    const auto set = ReadableSet(**route, pending->request.message_queue().broker().name());
    if (!set.ok()) return EndWithStatus(parts_, context, set.error());
    const auto settings = parts_.clients.SettingsOf(context.client_id());
    std::optional<std::int64_t> wanted;
    if (pending->request.has_long_polling_timeout()) wanted = MillisOf(pending->request.long_polling_timeout());
    const auto remaining = context.call().RemainingMillis();
    const std::int64_t request_timeout = settings ? settings->request_timeout_millis : kRequestTimeoutMillis;
    const std::int64_t wait = stop_waiting_ ? 0 : PollMillis(wanted, remaining, request_timeout);
    auto stream = std::make_shared<ReceiveStream>(parts_, context, pending->topic, *(*set)->link);
    stream->Start(EncodeRecord(*pending, context, **set, wait), LinkMillis(wait, remaining), wait > 0);
  };
  if (auto route = parts_.directory.CachedTopic(pending->topic)) return pass_on(std::move(route));
  parts_.directory.FindTopic(pending->topic, pass_on);
}

}  // namespace millrace::proxy
