#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/bytes.h"
#include "base/check.h"
#include "store/commit_log.h"

// The one key of the image store itself. docs/formats/image_store.md
namespace millrace::store {

inline constexpr absl::string_view kPositionKey{"\0position", 9};

// Keys that begin with a zero byte are not the user's.
inline bool IsUserKey(absl::string_view key) { return !key.empty() && key.front() != '\0'; }

inline std::string EncodePosition(LogPosition position) {
  std::string bytes;
  base::Put<std::uint64_t>(bytes, position.offset);
  base::Put<std::uint32_t>(bytes, position.previous_checksum);
  return bytes;
}

inline absl::StatusOr<LogPosition> DecodePosition(absl::string_view bytes) {
  base::ByteReader reader(bytes);
  LogPosition position;
  position.offset = reader.Read<std::uint64_t>();
  position.previous_checksum = reader.Read<std::uint32_t>();
  if (!reader.AtEnd()) return absl::DataLossError("the state image's position does not have 12 bytes");
  return position;
}

}  // namespace millrace::store
