#include "model/stored_message.h"

#include "base/bytes.h"
#include "base/check.h"

namespace millrace::model {
namespace {

using base::Load;
using base::Store;

SliceRange LoadRange(absl::string_view bytes, std::size_t at) {
  return {Load<std::uint16_t>(bytes.data() + at), Load<std::uint16_t>(bytes.data() + at + 2)};
}

void StoreRange(char* at, SliceRange range) {
  Store<std::uint16_t>(at, range.at);
  Store<std::uint16_t>(at + 2, range.size);
}

bool Inside(SliceRange range, absl::string_view slice) { return std::size_t{range.at} + range.size <= slice.size(); }

// What the header says about the size of all; nullopt: no header of a version that this code reads.
std::optional<std::uint64_t> StoredMessageBytes(absl::string_view header) {
  if (header.size() < kStoredHeaderBytes || header[kStoredVersionAt] != kStoredMessageVersion) return std::nullopt;
  return std::uint64_t{kStoredHeaderBytes} + Load<std::uint32_t>(header.data() + kStoredSystemBytesAt) +
         Load<std::uint32_t>(header.data() + kStoredUserBytesAt) +
         Load<std::uint32_t>(header.data() + kStoredBodyBytesAt);
}

}  // namespace

std::string EncodeStoredMessage(const StoredMessageParts& parts) {
  MR_CHECK(Inside(parts.tag, parts.system) && Inside(parts.id, parts.system));
  std::string out;
  out.reserve(kStoredHeaderBytes + parts.system.size() + parts.user.size() + parts.body.size());
  out.resize(kStoredHeaderBytes);
  out[kStoredVersionAt] = static_cast<char>(kStoredMessageVersion);
  out[kStoredFlagsAt] = static_cast<char>(parts.compressed ? kStoredMessageCompressed : 0);
  out[kStoredTypeAt] = static_cast<char>(parts.message_type);
  StoreRange(&out[kStoredTagAt], parts.tag);
  Store(&out[kStoredSystemBytesAt], static_cast<std::uint32_t>(parts.system.size()));
  Store(&out[kStoredUserBytesAt], static_cast<std::uint32_t>(parts.user.size()));
  Store(&out[kStoredBodyBytesAt], static_cast<std::uint32_t>(parts.body.size()));
  StoreRange(&out[kStoredIdAt], parts.id);
  std::memcpy(&out[kStoredMd5At], parts.md5.data(), parts.md5.size());
  out.append(parts.system.data(), parts.system.size());
  out.append(parts.user.data(), parts.user.size());
  out.append(parts.body.data(), parts.body.size());
  return out;
}

std::optional<StoredMessageView> ParseStoredMessage(absl::string_view bytes) {
  if (StoredMessageBytes(bytes) != bytes.size()) return std::nullopt;
  const std::size_t system_bytes = Load<std::uint32_t>(bytes.data() + kStoredSystemBytesAt);
  const std::size_t user_bytes = Load<std::uint32_t>(bytes.data() + kStoredUserBytesAt);
  StoredMessageView view;
  view.compressed = (bytes[kStoredFlagsAt] & kStoredMessageCompressed) != 0;
  view.message_type = static_cast<std::uint8_t>(bytes[kStoredTypeAt]);
  view.system = bytes.substr(kStoredHeaderBytes, system_bytes);
  view.user = bytes.substr(kStoredHeaderBytes + system_bytes, user_bytes);
  view.body = bytes.substr(kStoredHeaderBytes + system_bytes + user_bytes);
  std::memcpy(view.md5.data(), bytes.data() + kStoredMd5At, view.md5.size());

  const SliceRange tag = LoadRange(bytes, kStoredTagAt);
  const SliceRange id = LoadRange(bytes, kStoredIdAt);
  if (!Inside(tag, view.system) || !Inside(id, view.system)) return std::nullopt;
  if (tag.size > 0) view.tag = view.system.substr(tag.at, tag.size);
  view.id = view.system.substr(id.at, id.size);
  return view;
}

}  // namespace millrace::model
