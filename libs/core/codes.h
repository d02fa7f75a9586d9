#pragma once

#include <cstdint>

// Numbers of the v2 enum Code that the core answers with. The core knows no protobuf; a test of the broker holds these
// against the generated enum.
namespace millrace::core::code {

inline constexpr std::uint32_t kOk = 20000;
inline constexpr std::uint32_t kBadRequest = 40000;
inline constexpr std::uint32_t kIllegalTopic = 40002;
inline constexpr std::uint32_t kIllegalConsumerGroup = 40003;
inline constexpr std::uint32_t kInvalidReceiptHandle = 40013;
inline constexpr std::uint32_t kMessagePropertyConflictWithType = 40014;
inline constexpr std::uint32_t kForbidden = 40300;
inline constexpr std::uint32_t kMessageNotFound = 40401;
inline constexpr std::uint32_t kTopicNotFound = 40402;
inline constexpr std::uint32_t kConsumerGroupNotFound = 40403;
inline constexpr std::uint32_t kMessageBodyTooLarge = 41301;
inline constexpr std::uint32_t kPreconditionFailed = 42800;
inline constexpr std::uint32_t kTooManyRequests = 42900;
inline constexpr std::uint32_t kInternalServerError = 50001;
inline constexpr std::uint32_t kNotImplemented = 50100;
inline constexpr std::uint32_t kMasterPersistenceTimeout = 50401;

}  // namespace millrace::core::code
