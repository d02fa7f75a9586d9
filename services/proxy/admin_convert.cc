#include "services/proxy/admin_convert.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "model/names.h"
#include "model/stored_message.h"

namespace millrace::proxy {
namespace {

namespace v1 = admin::v1;
namespace v2 = apache::rocketmq::v2;

model::Error BadRequest(std::string text) { return {model::ErrorCode::kBadRequest, std::move(text)}; }

template <typename T>
std::optional<model::Error> CheckRange(absl::string_view what, T value, T minimum, T maximum) {
  if (value >= minimum && value <= maximum) return std::nullopt;
  return BadRequest(absl::StrCat(what, " is ", value, "; give ", minimum, " to ", maximum));
}

std::optional<model::Error> ApplyQueues(std::uint32_t queues, bool exists, core::TopicConfig& config) {
  if (auto error = CheckRange<std::uint32_t>("the number of queues", queues, 1, kTopicQueuesMax)) return error;
  if (exists && queues < config.queues) {
    return model::Error{model::ErrorCode::kPreconditionFailed,
                        absl::StrCat("topic ", config.name, " has ", config.queues, " queues and cannot shrink to ",
                                     queues, ": messages in the others would be lost; give at least ", config.queues,
                                     ", or delete the topic and create it again")};
  }
  config.queues = queues;
  return std::nullopt;
}

std::optional<model::Error> ApplyBackoff(const v1::Backoff& backoff, core::GroupConfig& config) {
  if (backoff.exponential() && backoff.millis_size() > 0) {
    return BadRequest(absl::StrCat("the backoff is exponential and has ", backoff.millis_size(),
                                   " pauses of its own; give one of the two"));
  }
  if (auto error = CheckRange("the number of backoff pauses", backoff.millis_size(), 0, kBackoffEntriesMax)) {
    return error;
  }
  for (const std::int64_t pause : backoff.millis()) {
    if (auto error = CheckRange<std::int64_t>("a backoff pause in milliseconds", pause, 0, kBackoffMillisMax)) {
      return error;
    }
  }
  config.exponential_backoff = backoff.exponential();
  config.backoff_millis.assign(backoff.millis().begin(), backoff.millis().end());
  return std::nullopt;
}

std::optional<model::Error> ApplyLite(const v1::GroupSettings& settings, core::GroupConfig& config) {
  if (settings.has_lite_topic()) config.lite_topic = settings.lite_topic();
  if (settings.has_lite_model()) config.lite_model = static_cast<std::uint8_t>(settings.lite_model());
  if (settings.has_lite_quota()) config.lite_quota = settings.lite_quota();
  if (auto error = CheckRange<std::int32_t>("the quota of lite topics", config.lite_quota, 0, kLiteQuotaMax)) {
    return error;
  }
  if (!config.lite_topic.empty()) return model::ValidateTopic(config.lite_topic);
  if (config.lite_model == 0 && config.lite_quota == 0) return std::nullopt;
  return BadRequest(absl::StrCat("group ", config.name,
                                 " has a lite model or a lite quota but no lite topic; give the parent topic too"));
}

void SetTimestamp(std::int64_t millis, google::protobuf::Timestamp& to) {
  to.set_seconds(millis / 1'000);
  to.set_nanos(static_cast<std::int32_t>(millis % 1'000 * 1'000'000));
}

}  // namespace

std::optional<model::Error> Apply(const v1::TopicSettings& settings, bool exists, core::TopicConfig& config) {
  if (settings.has_type()) {
    const int type = settings.type();
    if (auto error = CheckRange<int>("the topic type's number", type, v1::NORMAL, v1::MIXED)) return error;
    config.type = static_cast<core::TopicType>(type);
  }
  if (settings.has_access()) {
    const int access = settings.access();
    if (auto error = CheckRange<int>("the access's number", access, v1::NONE, v1::READ_WRITE)) return error;
    config.access = static_cast<core::Access>(access);
  }
  if (settings.has_queues()) return ApplyQueues(settings.queues(), exists, config);
  return std::nullopt;
}

std::optional<model::Error> Apply(const v1::GroupSettings& settings, core::GroupConfig& config) {
  if (settings.has_fifo()) config.fifo = settings.fifo();
  if (settings.has_max_attempts()) {
    const std::uint32_t attempts = settings.max_attempts();
    if (auto error = CheckRange<std::uint32_t>("the number of attempts", attempts, 1, kMaxAttemptsMax)) return error;
    config.max_attempts = attempts;
  }
  if (settings.has_backoff()) {
    if (auto error = ApplyBackoff(settings.backoff(), config)) return error;
  }
  if (settings.has_renew_limit_millis()) {
    const std::int64_t limit = settings.renew_limit_millis();
    if (limit != 0) {
      if (auto error = CheckRange<std::int64_t>("the renewal limit in milliseconds", limit, kRenewLimitMillisMin,
                                                kRenewLimitMillisMax)) {
        return error;
      }
    }
    config.renew_limit_millis = limit;
  }
  return ApplyLite(settings, config);
}

void ToProto(const core::TopicConfig& config, v1::Topic& topic) {
  topic.set_name(config.name);
  topic.set_id(config.id);
  topic.set_version(config.version);
  topic.set_type(static_cast<v1::TopicType>(config.type));
  topic.set_access(static_cast<v1::Access>(config.access));
  topic.set_queues(config.queues);
  topic.set_created_millis(config.created_millis);
}

void ToProto(const core::GroupConfig& config, v1::Group& group) {
  group.set_name(config.name);
  group.set_id(config.id);
  group.set_version(config.version);
  group.set_fifo(config.fifo);
  group.set_max_attempts(config.max_attempts);
  group.mutable_backoff()->set_exponential(config.exponential_backoff);
  for (const std::int64_t pause : config.backoff_millis) group.mutable_backoff()->add_millis(pause);
  group.set_renew_limit_millis(config.renew_limit_millis);
  group.set_lite_topic(config.lite_topic);
  group.set_lite_model(static_cast<v1::LiteModel>(config.lite_model));
  group.set_lite_quota(config.lite_quota);
  group.set_created_millis(config.created_millis);
}

void ToProto(const core::QueueProgress& queue, v1::Progress& progress) {
  progress.set_ready(queue.ready);
  // A reader looks at a claimed entry for a receive that is about to be answered.
  progress.set_in_flight(queue.claimed + queue.in_flight);
  progress.set_waiting(queue.waiting);
  progress.set_acknowledged(queue.acknowledged);
  progress.set_rejected(queue.rejected);
  progress.set_dead_lettered(queue.dead_lettered);
  progress.set_skipped(queue.skipped);
  progress.set_expired(queue.expired);
}

void Add(const v1::Progress& progress, v1::Progress& sum) {
  sum.set_ready(sum.ready() + progress.ready());
  sum.set_in_flight(sum.in_flight() + progress.in_flight());
  sum.set_waiting(sum.waiting() + progress.waiting());
  sum.set_acknowledged(sum.acknowledged() + progress.acknowledged());
  sum.set_rejected(sum.rejected() + progress.rejected());
  sum.set_dead_lettered(sum.dead_lettered() + progress.dead_lettered());
  sum.set_skipped(sum.skipped() + progress.skipped());
  sum.set_expired(sum.expired() + progress.expired());
}

std::optional<v2::Message> ToMessage(absl::string_view topic, const link::Delivery& delivery) {
  const auto stored = model::ParseStoredMessage(delivery.stored);
  if (!stored) return std::nullopt;
  v2::Message message;
  v2::SystemProperties& system = *message.mutable_system_properties();
  if (!message.MergeFromString(std::string(stored->user.data(), stored->user.size()))) return std::nullopt;
  if (!system.ParseFromArray(stored->system.data(), static_cast<int>(stored->system.size()))) return std::nullopt;
  const model::NameParts name = model::UnwrapNamespace(topic);
  message.mutable_topic()->set_resource_namespace(name.resource_namespace);
  message.mutable_topic()->set_name(name.name);
  message.set_body(std::string(stored->body.data(), stored->body.size()));
  system.mutable_body_digest()->set_type(v2::MD5);
  system.mutable_body_digest()->set_checksum(base::HexUpper({stored->md5.data(), stored->md5.size()}));
  system.set_queue_id(static_cast<std::int32_t>(delivery.queue));
  system.set_queue_offset(delivery.queue_offset);
  SetTimestamp(delivery.store_millis, *system.mutable_store_timestamp());
  if (!delivery.origin_topic.empty()) {
    const absl::string_view origin = delivery.origin_topic;
    system.mutable_dead_letter_queue()->set_topic(std::string(origin.data(), origin.size()));
    system.mutable_dead_letter_queue()->set_message_id(system.message_id());
  }
  return message;
}

}  // namespace millrace::proxy
