#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace millrace::cli {

// Field names and their order are stable: scripts read them.
using Json = nlohmann::ordered_json;

// Columns as wide as their widest cell, two spaces between them, no space at the end of a line.
class Table {
 public:
  explicit Table(std::vector<std::string> head) { rows_.push_back(std::move(head)); }
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Two spaces of indent, a line feed at the end.
std::string Text(const Json& json);
// One line, a line feed at the end.
std::string Line(const Json& json);

// "2026-03-01T12:00:00.250Z"; "-" for 0 and below.
std::string TimeText(std::int64_t millis);
// "850ms", "12s", "3m05s", "2h10m", "4d02h".
std::string AgeText(std::int64_t millis);

// UTF-8 without control characters other than tab, line feed and carriage return.
bool IsText(absl::string_view bytes);
// For a table: text with its line breaks and tabs escaped, other bytes as \xNN.
std::string OneLine(absl::string_view bytes);

// "body" where it is text, else "body_base64", so that no byte is lost.
void PutBody(absl::string_view body, Json& json);

}  // namespace millrace::cli
