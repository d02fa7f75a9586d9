#include "cli/output.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "model/text.h"

namespace millrace::cli {

std::string Table::Text() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] - row[i].size() + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

std::string Text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string Line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string TimeText(std::int64_t millis) {
  if (millis <= 0) return "-";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromUnixMillis(millis), absl::UTCTimeZone());
}

std::string AgeText(std::int64_t millis) {
  const std::int64_t seconds = millis / 1'000;
  if (millis < 1'000) return absl::StrCat(millis, "ms");
  if (seconds < 60) return absl::StrCat(seconds, "s");
  if (seconds < 3'600) return absl::StrFormat("%dm%02ds", seconds / 60, seconds % 60);
  if (seconds < 86'400) return absl::StrFormat("%dh%02dm", seconds / 3'600, seconds / 60 % 60);
  return absl::StrFormat("%dd%02dh", seconds / 86'400, seconds / 3'600 % 24);
}

bool IsText(absl::string_view bytes) {
  if (!model::IsUtf8(bytes)) return false;
  return std::none_of(bytes.begin(), bytes.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == 0x7f || (byte < 0x20 && c != '\t' && c != '\n' && c != '\r');
  });
}

std::string OneLine(absl::string_view bytes) {
  if (!IsText(bytes)) return absl::CHexEscape(bytes);
  return absl::StrReplaceAll(bytes, {{"\n", "\\n"}, {"\r", "\\r"}, {"\t", "\\t"}});
}

void PutBody(absl::string_view body, Json& json) {
  if (IsText(body)) {
    json["body"] = std::string(body.data(), body.size());
  } else {
    json["body_base64"] = absl::Base64Escape(body);
  }
}

}  // namespace millrace::cli
