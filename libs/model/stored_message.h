#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "base/digest.h"

// The opaque body of a message record: docs/formats/stored_message.md. No protobuf here: slices are wire bytes.
namespace millrace::model {

inline constexpr std::uint8_t kStoredMessageVersion = 1;
inline constexpr std::uint8_t kStoredMessageCompressed = 1;  // flag

inline constexpr std::size_t kStoredVersionAt = 0;
inline constexpr std::size_t kStoredFlagsAt = 1;
inline constexpr std::size_t kStoredTypeAt = 2;
inline constexpr std::size_t kStoredTagAt = 4;
inline constexpr std::size_t kStoredSystemBytesAt = 8;
inline constexpr std::size_t kStoredUserBytesAt = 12;
inline constexpr std::size_t kStoredBodyBytesAt = 16;
inline constexpr std::size_t kStoredIdAt = 20;
inline constexpr std::size_t kStoredMd5At = 28;
inline constexpr std::size_t kStoredHeaderBytes = 48;
static_assert(kStoredMd5At + sizeof(base::Md5Digest) + 4 == kStoredHeaderBytes, "docs/formats/stored_message.md");

// Bytes inside the system slice.
struct SliceRange {
  std::uint16_t at = 0;
  std::uint16_t size = 0;
};

struct StoredMessageParts {
  bool compressed = false;
  std::uint8_t message_type = 0;  // v2 MessageType
  SliceRange tag;                 // {0, 0}: none
  SliceRange id;
  base::Md5Digest md5{};
  absl::string_view system;
  absl::string_view user;
  absl::string_view body;
};

// `parts.tag` and `parts.id` lie inside the system slice.
std::string EncodeStoredMessage(const StoredMessageParts& parts);

// Views into the bytes that were parsed.
struct StoredMessageView {
  bool compressed = false;
  std::uint8_t message_type = 0;
  std::optional<absl::string_view> tag;
  absl::string_view id;
  base::Md5Digest md5{};
  absl::string_view system;
  absl::string_view user;
  absl::string_view body;
};

// nullopt: not a stored message of a version that this code reads. Takes constant time; slices are not looked at.
std::optional<StoredMessageView> ParseStoredMessage(absl::string_view bytes);

}  // namespace millrace::model
