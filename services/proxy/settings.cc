#include "services/proxy/settings.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/names.h"
#include "model/properties.h"
#include "model/tag_filter.h"
#include "model/text.h"
#include "services/proxy/client_quirks.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;
using model::Error;
using model::ErrorCode;
using model::Quoted;

constexpr std::int32_t kProducerMaxAttempts = 3;
constexpr std::int64_t kProducerBackoffInitialMillis = 10;
constexpr std::int64_t kProducerBackoffMaxMillis = 1'000;
constexpr std::int32_t kReceiveBatchSize = 32;
constexpr std::int64_t kLongPollingMillis = 20'000;

constexpr int kClientPropertiesMax = 32;
constexpr std::size_t kClientPropertyKeyMax = 64;
constexpr std::size_t kClientPropertyValueMax = 256;
constexpr std::size_t kClientPropertiesBytesMax = 4'096;
constexpr absl::string_view kReservedClientPropertyPrefix = "rocketmq.";

absl::string_view NamespaceOf(const v2::Resource& resource, const SettingsContext& context) {
  return resource.resource_namespace().empty() ? context.default_namespace
                                               : absl::string_view(resource.resource_namespace());
}

std::optional<Error> CheckTopic(const v2::Resource& topic, const SettingsContext& context) {
  const auto name = model::FullTopicName(NamespaceOf(topic, context), topic.name());
  return name.ok() ? std::nullopt : std::make_optional(name.error());
}

std::optional<Error> CheckFilter(const v2::FilterExpression& filter) {
  if (filter.type() == v2::SQL) {
    if (!model::IsBlank(filter.expression())) return std::nullopt;
    return Error{ErrorCode::kIllegalFilterExpression, "the SQL filter is blank: write a condition, or use tag '*'"};
  }
  const auto tags = model::TagFilter::Parse(filter.expression());
  return tags.ok() ? std::nullopt : std::make_optional(tags.error());
}

std::optional<Error> CheckSubscription(const v2::Subscription& subscription, const SettingsContext& context) {
  const v2::Resource& group = subscription.group();
  if (const auto name = model::FullConsumerGroupName(NamespaceOf(group, context), group.name()); !name.ok()) {
    return name.error();
  }
  for (const v2::SubscriptionEntry& entry : subscription.subscriptions()) {
    if (auto error = CheckTopic(entry.topic(), context)) return error;
    if (auto error = CheckFilter(entry.expression())) return error;
  }
  return std::nullopt;
}

std::optional<Error> CheckPublishing(const v2::Publishing& publishing, const SettingsContext& context) {
  for (const v2::Resource& topic : publishing.topics()) {
    if (auto error = CheckTopic(topic, context)) return error;
  }
  return std::nullopt;
}

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool IsClientPropertyKey(absl::string_view key) {
  return !key.empty() && key.size() <= kClientPropertyKeyMax && IsLetter(key[0]) &&
         std::all_of(key.begin(), key.end(),
                     [](char c) { return IsLetter(c) || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'; });
}

// Characters, not bytes; `text` is UTF-8.
std::size_t CharactersOf(absl::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

Error BadClientProperties(std::string text) { return {ErrorCode::kInvalidClientProperties, std::move(text)}; }

std::optional<Error> CheckClientProperties(const v2::Settings& settings) {
  const auto& properties = settings.client_properties();
  if (properties.size() > kClientPropertiesMax) {
    return BadClientProperties(absl::StrCat("there are ", properties.size(), " client properties, the limit is ",
                                            kClientPropertiesMax, ": remove some"));
  }
  std::size_t bytes = 0;
  for (const auto& [key, value] : properties) {
    bytes += key.size() + value.size();
    if (!IsClientPropertyKey(key)) {
      return BadClientProperties(absl::StrCat("the client property key ", Quoted(key), " is not a letter followed by ",
                                              "up to ", kClientPropertyKeyMax - 1, " of a-z A-Z 0-9 _ . -: rename it"));
    }
    if (absl::StartsWith(key, kReservedClientPropertyPrefix)) {
      return BadClientProperties(absl::StrCat("the client property key ", Quoted(key), " starts with '",
                                              kReservedClientPropertyPrefix, "', which is reserved: rename it"));
    }
    if (CharactersOf(value) > kClientPropertyValueMax) {
      return BadClientProperties(absl::StrCat("the client property ", Quoted(key), " has ", CharactersOf(value),
                                              " characters, the limit is ", kClientPropertyValueMax, ": shorten it"));
    }
  }
  if (bytes <= kClientPropertiesBytesMax) return std::nullopt;
  return BadClientProperties(absl::StrCat("the client properties have ", bytes, " bytes together, the limit is ",
                                          kClientPropertiesBytesMax, ": shorten or remove some"));
}

google::protobuf::Duration DurationOf(std::int64_t millis) {
  google::protobuf::Duration duration;
  duration.set_seconds(millis / 1'000);
  duration.set_nanos(static_cast<std::int32_t>(millis % 1'000) * 1'000'000);
  return duration;
}

void SetExponential(std::int64_t initial_millis, std::int64_t max_millis, v2::RetryPolicy& policy) {
  v2::ExponentialBackoff& backoff = *policy.mutable_exponential_backoff();
  *backoff.mutable_initial() = DurationOf(initial_millis);
  *backoff.mutable_max() = DurationOf(max_millis);
  backoff.set_multiplier(kExponentialMultiplier);
}

v2::RetryPolicy ProducerPolicy() {
  v2::RetryPolicy policy;
  policy.set_max_attempts(kProducerMaxAttempts);
  SetExponential(kProducerBackoffInitialMillis, kProducerBackoffMaxMillis, policy);
  return policy;
}

v2::RetryPolicy ConsumerPolicy(const RetryPolicy& retry, std::uint32_t quirks) {
  v2::RetryPolicy policy;
  policy.set_max_attempts(retry.max_attempts);
  if (retry.exponential || (quirks & kQuirkExponentialBackoff) != 0) {
    SetExponential(kExponentialInitialMillis, kExponentialMaxMillis, policy);
    return policy;
  }
  const auto add = [&policy](std::int64_t millis) {
    *policy.mutable_customized_backoff()->add_next() = DurationOf(millis);
  };
  if (retry.backoff_millis.empty()) {
    std::for_each(kDefaultBackoffMillis.begin(), kDefaultBackoffMillis.end(), add);
  } else {
    std::for_each(retry.backoff_millis.begin(), retry.backoff_millis.end(), add);
  }
  return policy;
}

bool IsPushConsumer(const v2::Settings& settings) {
  return settings.client_type() == v2::PUSH_CONSUMER || settings.client_type() == v2::LITE_PUSH_CONSUMER;
}

bool IsLiteConsumer(const v2::Settings& settings) {
  return settings.client_type() == v2::LITE_PUSH_CONSUMER || settings.client_type() == v2::LITE_SIMPLE_CONSUMER;
}

void DecideSubscription(const GroupSettings& group, v2::Settings& reply) {
  v2::Subscription& subscription = *reply.mutable_subscription();
  subscription.set_fifo(group.fifo);
  subscription.set_receive_batch_size(kReceiveBatchSize);
  *subscription.mutable_long_polling_timeout() = DurationOf(kLongPollingMillis);
  if (!IsLiteConsumer(reply)) return;
  subscription.set_lite_subscription_quota(group.lite_subscription_quota);
  subscription.set_max_lite_topic_size(model::kLiteTopicNameMax);
}

void DecideMetric(std::uint32_t quirks, v2::Settings& reply) {
  v2::Metric& metric = *reply.mutable_metric();
  metric.Clear();
  if ((quirks & kQuirkMetricsOn) == 0 || !IsPushConsumer(reply) || !reply.has_access_point()) return;
  metric.set_on(true);
  *metric.mutable_endpoints() = reply.access_point();
}

void SetStatus(int code, const std::string& text, v2::TelemetryCommand& command) {
  command.mutable_status()->set_code(static_cast<v2::Code>(code));
  command.mutable_status()->set_message(text);
}

}  // namespace

std::optional<Error> ValidateSettings(const v2::Settings& settings, const SettingsContext& context) {
  std::optional<Error> error;
  if (settings.has_publishing()) {
    error = CheckPublishing(settings.publishing(), context);
  } else if (settings.has_subscription()) {
    error = CheckSubscription(settings.subscription(), context);
  } else {
    error = Error{ErrorCode::kBadRequest,
                  "the settings hold neither publishing nor subscription: set the one that fits the client"};
  }
  return error ? error : CheckClientProperties(settings);
}

std::string GroupOf(const v2::Settings& settings, const SettingsContext& context) {
  if (!settings.has_subscription()) return {};
  const v2::Resource& group = settings.subscription().group();
  return model::WrapNamespace(NamespaceOf(group, context), group.name());
}

v2::TelemetryCommand MakeSettingsReply(const v2::Settings& settings, const GroupSettings& group,
                                       const SettingsContext& context) {
  const std::uint32_t quirks = QuirksOf(context.language, context.version);
  v2::TelemetryCommand command;
  SetStatus(v2::OK, "OK", command);
  v2::Settings& reply = *command.mutable_settings();
  reply = settings;
  if (reply.has_publishing()) {
    *reply.mutable_backoff_policy() = ProducerPolicy();
    reply.mutable_publishing()->set_max_body_size(context.body_bytes_max);
    reply.mutable_publishing()->set_validate_message_type(true);
  } else {
    *reply.mutable_backoff_policy() = ConsumerPolicy(group.retry, quirks);
    DecideSubscription(group, reply);
  }
  DecideMetric(quirks, reply);
  return command;
}

v2::TelemetryCommand SettingsRefusal(const Error& error) {
  v2::TelemetryCommand command;
  SetStatus(error.number(), error.text, command);
  return command;
}

}  // namespace millrace::proxy
