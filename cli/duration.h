#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace millrace::cli {

// "500ms", "5s", "1m30s", "2h", "0"; nullopt for anything else and for negative values.
std::optional<std::int64_t> ParseMillis(const std::string& text);

// For CLI11: empty when `text` is a duration, else what is wrong.
std::string CheckDuration(const std::string& text);

}  // namespace millrace::cli
