#include "cli/duration.h"

#include "absl/time/time.h"

namespace millrace::cli {

std::optional<std::int64_t> ParseMillis(const std::string& text) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration)) return std::nullopt;
  if (duration < absl::ZeroDuration() || duration == absl::InfiniteDuration()) return std::nullopt;
  return absl::ToInt64Milliseconds(duration);
}

std::string CheckDuration(const std::string& text) {
  if (ParseMillis(text)) return "";
  return "\"" + text + "\" is no duration; give one such as 500ms, 5s or 1m30s";
}

}  // namespace millrace::cli
