#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

// Text as clients send it: UTF-8. The rules about it are Java's, because the contract is.
namespace millrace::model {

// The first code point of `text`, which shrinks by it; nullopt (and `text` as it was) when the bytes are not UTF-8:
// truncated, overlong, a surrogate, above U+10FFFF. `text` is not empty.
std::optional<std::uint32_t> NextCodePoint(absl::string_view& text);

bool IsUtf8(absl::string_view text);

// Whether an ISO control character (U+0000-001F, U+007F-009F) stands in `text`, which is UTF-8.
bool HasControlCharacter(absl::string_view text);

// Empty, or nothing but characters that Java's Character.isWhitespace() accepts. `text` is UTF-8.
bool IsBlank(absl::string_view text);

// `text` for an error message: at most 64 bytes of it, bytes outside printable ASCII as \xNN, in quotes.
std::string Quoted(absl::string_view text);

}  // namespace millrace::model
