#include "cli/exit_code.h"

#include "apache/rocketmq/v2/definition.pb.h"

namespace millrace::cli {

namespace v2 = apache::rocketmq::v2;

ExitCode ExitCodeOf(int code) {
  switch (code) {
    case v2::OK: return kExitOk;
    case v2::UNAUTHORIZED:
    case v2::FORBIDDEN: return kExitForbidden;
    case v2::REQUEST_TIMEOUT:
    case v2::TOO_MANY_REQUESTS:
    case v2::HA_NOT_AVAILABLE:
    case v2::PROXY_TIMEOUT:
    case v2::MASTER_PERSISTENCE_TIMEOUT:
    case v2::SLAVE_PERSISTENCE_TIMEOUT: return kExitUnavailable;
    case v2::INVALID_RECEIPT_HANDLE:
    case v2::PRECONDITION_FAILED:
    case v2::MESSAGE_PROPERTY_CONFLICT_WITH_TYPE: return kExitConflict;
    case v2::PAYLOAD_TOO_LARGE:
    case v2::MESSAGE_BODY_TOO_LARGE:
    case v2::MESSAGE_BODY_EMPTY:
    case v2::MESSAGE_PROPERTIES_TOO_LARGE: return kExitUsage;
    default: break;
  }
  if (code >= 40'000 && code < 40'100) return kExitUsage;
  if (code >= 40'400 && code < 40'500) return kExitNotFound;
  return kExitFailed;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk: return kExitOk;
    case absl::StatusCode::kInvalidArgument: return kExitUsage;
    case absl::StatusCode::kNotFound: return kExitNotFound;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied: return kExitForbidden;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted: return kExitUnavailable;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted: return kExitConflict;
    default: return kExitFailed;
  }
}

}  // namespace millrace::cli
