#include "model/text.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace millrace::model {
namespace {

constexpr std::size_t kQuotedBytesMax = 64;

bool IsContinuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

// Bytes from `at` on that are certainly ASCII, eight at a time.
std::size_t AsciiPrefix(absl::string_view text) {
  std::size_t at = 0;
  for (std::uint64_t word; at + sizeof(word) <= text.size(); at += sizeof(word)) {
    std::memcpy(&word, text.data() + at, sizeof(word));
    if ((word & 0x8080808080808080ull) != 0) break;
  }
  return at;
}

bool IsJavaWhitespace(std::uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
  return c == 0x1680 || (c >= 0x2000 && c <= 0x200a && c != 0x2007) || c == 0x2028 || c == 0x2029 || c == 0x205f ||
         c == 0x3000;
}

}  // namespace

std::optional<std::uint32_t> NextCodePoint(absl::string_view& text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char first = bytes[0];
  if (first < 0x80) {
    text.remove_prefix(1);
    return first;
  }
  const std::size_t size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (size == 0 || text.size() < size) return std::nullopt;
  std::uint32_t code = first & (0xff >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if (!IsContinuation(bytes[i])) return std::nullopt;
    code = code << 6 | (bytes[i] & 0x3f);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (overlong || surrogate || code > 0x10ffff) return std::nullopt;
  text.remove_prefix(size);
  return code;
}

bool IsUtf8(absl::string_view text) {
  text.remove_prefix(AsciiPrefix(text));
  while (!text.empty()) {
    if (static_cast<signed char>(text.front()) >= 0) {
      text.remove_prefix(1);
    } else if (!NextCodePoint(text)) {
      return false;
    }
  }
  return true;
}

bool HasControlCharacter(absl::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    // U+0080-009F is C2 80-9F, and C2 starts nothing else that ends there.
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

bool IsBlank(absl::string_view text) {
  if (!text.empty() && text.front() > ' ' && text.front() < 0x7f)
    return false;  // nearly all texts that are asked about
  while (!text.empty()) {
    const std::optional<std::uint32_t> code = NextCodePoint(text);
    if (!code || !IsJavaWhitespace(*code)) return false;
  }
  return true;
}

std::string Quoted(absl::string_view text) {
  const bool cut = text.size() > kQuotedBytesMax;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kQuotedBytesMax)), cut ? "...'" : "'");
}

}  // namespace millrace::model
