#include "services/broker/receipt_handle.h"

#include <cstring>

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "base/digest.h"

namespace millrace::broker {
namespace {

constexpr char kVersion = 1;

}  // namespace

std::string EncodeHandle(const core::Handle& handle, absl::string_view broker_set, absl::string_view mac_key) {
  std::string bytes(1, kVersion);
  base::PutString(bytes, broker_set);
  bytes.append(reinterpret_cast<const char*>(&handle), sizeof handle);
  base::Put<std::uint64_t>(bytes, base::SipHash(mac_key, bytes));
  return absl::WebSafeBase64Escape(bytes);
}

std::optional<core::Handle> DecodeHandle(absl::string_view text, absl::string_view broker_set,
                                         absl::string_view mac_key) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(text, &bytes) || bytes.size() < sizeof(core::Handle) + 9) return std::nullopt;
  base::ByteReader reader(bytes);
  const auto version = reader.Read<char>();
  const absl::string_view set = reader.ReadString();
  const absl::string_view raw = reader.ReadBytes(sizeof(core::Handle));
  const auto mac = reader.Read<std::uint64_t>();
  if (!reader.AtEnd() || version != kVersion || set != broker_set) return std::nullopt;
  const absl::string_view signed_part(bytes.data(), bytes.size() - sizeof mac);
  if (mac != base::SipHash(mac_key, signed_part)) return std::nullopt;
  core::Handle handle;
  std::memcpy(&handle, raw.data(), sizeof handle);
  return handle;
}

}  // namespace millrace::broker
