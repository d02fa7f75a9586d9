// Receipt handles as clients send them back.
//   input := kind, bytes    kind 0: the text itself; 1: what the text stands for; 2: a good handle, one byte changed
#include <cstring>
#include <string>

#include "absl/strings/escaping.h"
#include "base/digest.h"
#include "services/broker/receipt_handle.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

constexpr absl::string_view kKey = "0123456789abcdef";

void Decode(absl::string_view text) {
  const auto handle = broker::DecodeHandle(text, "broker-a", kKey);
  if (!handle) return;
  const std::string again = broker::EncodeHandle(*handle, "broker-a", kKey);
  const auto second = broker::DecodeHandle(again, "broker-a", kKey);
  MR_CHECK(second && std::memcmp(&*second, &*handle, sizeof *handle) == 0);
  MR_CHECK(!broker::DecodeHandle(text, "broker-b", kKey));
  MR_CHECK(!broker::DecodeHandle(text, "broker-a", "fedcba9876543210"));
}

void DecodeWithMac(absl::string_view bytes) {
  std::string signed_bytes(bytes);
  base::Put<std::uint64_t>(signed_bytes, base::SipHash(kKey, signed_bytes));
  Decode(absl::WebSafeBase64Escape(signed_bytes));
}

void DecodeChanged(absl::string_view bytes) {
  const std::uint8_t where = fuzz::TakeByte(bytes);
  const std::uint8_t flip = fuzz::TakeByte(bytes);
  core::Handle handle;
  if (bytes.size() < sizeof handle) return;
  std::memcpy(&handle, bytes.data(), sizeof handle);
  const std::string good = broker::EncodeHandle(handle, "broker-a", kKey);
  std::string raw;
  MR_CHECK(absl::WebSafeBase64Unescape(good, &raw));
  raw[where % raw.size()] ^= static_cast<char>(flip);
  MR_CHECK(broker::DecodeHandle(absl::WebSafeBase64Escape(raw), "broker-a", kKey).has_value() == (flip == 0));
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  absl::string_view input = millrace::fuzz::View(data, size);
  switch (millrace::fuzz::TakeByte(input) % 3) {
    case 0: millrace::Decode(input); break;
    case 1: millrace::DecodeWithMac(input); break;
    default: millrace::DecodeChanged(input);
  }
  return 0;
}
