#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "core/metadata.h"
#include "link/messages.h"
#include "millrace/v1/admin.pb.h"
#include "model/error.h"

// Between the admin service's messages and the configs that brokers keep.
namespace millrace::proxy {

inline constexpr std::uint32_t kTopicQueuesMax = 1'024;
inline constexpr std::uint32_t kMaxAttemptsMax = 1'000;
inline constexpr int kBackoffEntriesMax = 64;
inline constexpr std::int64_t kBackoffMillisMax = 12ll * 3'600 * 1'000;  // the longest invisible time
inline constexpr std::int64_t kRenewLimitMillisMin = 1'000;
inline constexpr std::int64_t kRenewLimitMillisMax = kBackoffMillisMax;
inline constexpr std::int32_t kLiteQuotaMax = 1'000'000;

// Puts the fields that are present into `config` and checks the result. `exists`: `config` is what stands now, so its
// number of queues may only grow. On an error `config` is half changed.
std::optional<model::Error> Apply(const admin::v1::TopicSettings& settings, bool exists, core::TopicConfig& config);
std::optional<model::Error> Apply(const admin::v1::GroupSettings& settings, core::GroupConfig& config);

void ToProto(const core::TopicConfig& config, admin::v1::Topic& topic);
void ToProto(const core::GroupConfig& config, admin::v1::Group& group);
void ToProto(const core::QueueProgress& queue, admin::v1::Progress& progress);
void Add(const admin::v1::Progress& progress, admin::v1::Progress& sum);

// A stored message as a client would see it, without a receipt handle. nullopt: the bytes do not decode.
std::optional<apache::rocketmq::v2::Message> ToMessage(absl::string_view topic, const link::Delivery& delivery);

}  // namespace millrace::proxy
