#pragma once

#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/check.h"

namespace millrace::model {

// Every error that a client can be told, once: the enum, the absl code for callers inside, the number of the v2 enum
// Code, and the value of the label `error` in metrics follow from this table.
//   X(name, absl code, v2 code, metric label)
#define MILLRACE_MODEL_ERRORS(X)                                                                              \
  X(BadRequest, kInvalidArgument, 40000, "bad_request")                                                       \
  X(IllegalAccessPoint, kInvalidArgument, 40001, "illegal_access_point")                                      \
  X(IllegalTopic, kInvalidArgument, 40002, "illegal_topic")                                                   \
  X(IllegalConsumerGroup, kInvalidArgument, 40003, "illegal_consumer_group")                                  \
  X(IllegalMessageTag, kInvalidArgument, 40004, "illegal_message_tag")                                        \
  X(IllegalMessageKey, kInvalidArgument, 40005, "illegal_message_key")                                        \
  X(IllegalMessageGroup, kInvalidArgument, 40006, "illegal_message_group")                                    \
  X(IllegalMessagePropertyKey, kInvalidArgument, 40007, "illegal_message_property_key")                       \
  X(InvalidTransactionId, kInvalidArgument, 40008, "invalid_transaction_id")                                  \
  X(IllegalMessageId, kInvalidArgument, 40009, "illegal_message_id")                                          \
  X(IllegalFilterExpression, kInvalidArgument, 40010, "illegal_filter_expression")                            \
  X(IllegalInvisibleTime, kInvalidArgument, 40011, "illegal_invisible_time")                                  \
  X(IllegalDeliveryTime, kInvalidArgument, 40012, "illegal_delivery_time")                                    \
  X(InvalidReceiptHandle, kInvalidArgument, 40013, "invalid_receipt_handle")                                  \
  X(MessagePropertyConflictWithType, kFailedPrecondition, 40014, "message_property_conflict_with_type")       \
  X(UnrecognizedClientType, kInvalidArgument, 40015, "unrecognized_client_type")                              \
  X(MessageCorrupted, kInvalidArgument, 40016, "message_corrupted")                                           \
  X(ClientIdRequired, kInvalidArgument, 40017, "client_id_required")                                          \
  X(IllegalPollingTime, kInvalidArgument, 40018, "illegal_polling_time")                                      \
  X(IllegalOffset, kOutOfRange, 40019, "illegal_offset")                                                      \
  X(IllegalLiteTopic, kInvalidArgument, 40020, "illegal_lite_topic")                                          \
  X(InvalidClientProperties, kInvalidArgument, 40021, "invalid_client_properties")                            \
  X(Unauthorized, kUnauthenticated, 40100, "unauthorized")                                                    \
  X(Forbidden, kPermissionDenied, 40300, "forbidden")                                                         \
  X(NotFound, kNotFound, 40400, "not_found")                                                                  \
  X(MessageNotFound, kNotFound, 40401, "message_not_found")                                                   \
  X(TopicNotFound, kNotFound, 40402, "topic_not_found")                                                       \
  X(ConsumerGroupNotFound, kNotFound, 40403, "consumer_group_not_found")                                      \
  X(OffsetNotFound, kNotFound, 40404, "offset_not_found")                                                     \
  X(RequestTimeout, kDeadlineExceeded, 40800, "request_timeout")                                              \
  X(PayloadTooLarge, kInvalidArgument, 41300, "payload_too_large")                                            \
  X(MessageBodyTooLarge, kInvalidArgument, 41301, "message_body_too_large")                                   \
  X(MessageBodyEmpty, kInvalidArgument, 41302, "message_body_empty")                                          \
  X(PreconditionFailed, kFailedPrecondition, 42800, "precondition_failed")                                    \
  X(TooManyRequests, kResourceExhausted, 42900, "too_many_requests")                                          \
  X(LiteTopicQuotaExceeded, kResourceExhausted, 42901, "lite_topic_quota_exceeded")                           \
  X(LiteSubscriptionQuotaExceeded, kResourceExhausted, 42902, "lite_subscription_quota_exceeded")             \
  X(MessagePropertiesTooLarge, kInvalidArgument, 43101, "message_properties_too_large")                       \
  X(InternalError, kInternal, 50000, "internal_error")                                                        \
  X(InternalServerError, kInternal, 50001, "internal_server_error")                                           \
  X(HaNotAvailable, kUnavailable, 50002, "ha_not_available") /* may be stored */                              \
  X(NotImplemented, kUnimplemented, 50100, "not_implemented")                                                 \
  X(ProxyTimeout, kDeadlineExceeded, 50400, "proxy_timeout")                          /* may have happened */ \
  X(MasterPersistenceTimeout, kDeadlineExceeded, 50401, "master_persistence_timeout") /* may be stored */     \
  X(SlavePersistenceTimeout, kDeadlineExceeded, 50402, "slave_persistence_timeout")   /* may be stored */     \
  X(Unsupported, kUnimplemented, 50500, "unsupported")                                                        \
  X(VersionUnsupported, kUnimplemented, 50501, "version_unsupported")

// The value is the number of the v2 enum Code.
enum class ErrorCode : int {
#define MILLRACE_ENUMERATOR(name, absl_code, number, label) k##name = number,
  MILLRACE_MODEL_ERRORS(MILLRACE_ENUMERATOR)
#undef MILLRACE_ENUMERATOR
};

struct ErrorInfo {
  ErrorCode code;
  absl::string_view name;  // "TopicNotFound"
  absl::StatusCode absl_code;
  absl::string_view label;  // "topic_not_found"
};

// The table's row of `code`; the row of InternalServerError for a number that is not in the table.
const ErrorInfo& InfoOf(ErrorCode code);

// What a client is told. The text names the cause, the value, the limit and the fix.
struct Error {
  ErrorCode code;
  std::string text;

  int number() const { return static_cast<int>(code); }
  absl::Status ToStatus() const { return absl::Status(InfoOf(code).absl_code, text); }
  friend bool operator==(const Error&, const Error&) = default;
};

// A value, or the error for the client.
template <typename T>
class Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: converts on return
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return content_.index() == 0; }
  const Error& error() const {
    MR_CHECK(!ok());
    return std::get<1>(content_);
  }
  T& operator*() & {
    MR_CHECK(ok());
    return std::get<0>(content_);
  }
  T&& operator*() && {
    MR_CHECK(ok());
    return std::get<0>(std::move(content_));
  }
  const T& operator*() const& {
    MR_CHECK(ok());
    return std::get<0>(content_);
  }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }

 private:
  std::variant<T, Error> content_;
};

}  // namespace millrace::model
