#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "apache/rocketmq/v2/service.pb.h"
#include "model/error.h"
#include "services/proxy/retry.h"

namespace millrace::proxy {

// What the server decides about the consumers of a group.
struct GroupSettings {
  bool fifo = false;
  RetryPolicy retry;
  std::int32_t lite_subscription_quota = 2'000;
};

struct SettingsContext {
  absl::string_view default_namespace;  // header x-mq-namespace: for resources without one
  absl::string_view language;           // header x-mq-language
  absl::string_view version;            // header x-mq-client-version
  std::int32_t body_bytes_max = 4 << 20;
};

// Whether a client's Settings can be accepted. Its caller writes SettingsRefusal() and then ends the stream with
// INVALID_ARGUMENT. Errors: kIllegalTopic, kIllegalConsumerGroup, kIllegalFilterExpression (tags only: SQL is compiled
// where it is evaluated), kInvalidClientProperties, kBadRequest (neither publishing nor subscription).
std::optional<model::Error> ValidateSettings(const apache::rocketmq::v2::Settings& settings,
                                             const SettingsContext& context);

// The full name of the consumer group in valid settings; empty for producers.
std::string GroupOf(const apache::rocketmq::v2::Settings& settings, const SettingsContext& context);

// The answer to valid settings: the client's own, with what the server decides. `group` is not used for producers.
apache::rocketmq::v2::TelemetryCommand MakeSettingsReply(const apache::rocketmq::v2::Settings& settings,
                                                         const GroupSettings& group, const SettingsContext& context);

// A command with nothing but the status of `error`.
apache::rocketmq::v2::TelemetryCommand SettingsRefusal(const model::Error& error);

}  // namespace millrace::proxy
