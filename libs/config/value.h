#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// Values of configuration keys as text: the same in flags, environment and files, and read back as they are printed.
namespace millrace::config {

// A size with a unit in configuration: 4096, 64KiB, 16MiB, 1GiB, 2TiB; KB, MB, GB, TB are powers of 1000.
struct ByteSize {
  std::int64_t bytes = 0;
  friend auto operator<=>(const ByteSize&, const ByteSize&) = default;
};

// `value` is unchanged when the text does not parse; the error says what would.
absl::Status ParseValue(absl::string_view text, std::string& value);
absl::Status ParseValue(absl::string_view text, bool& value);  // true, false, on, off, yes, no
absl::Status ParseValue(absl::string_view text, std::int64_t& value);
absl::Status ParseValue(absl::string_view text, int& value);
absl::Status ParseValue(absl::string_view text, double& value);
absl::Status ParseValue(absl::string_view text, absl::Duration& value);  // 500ms, 10s, 1h30m, 3d
absl::Status ParseValue(absl::string_view text, ByteSize& value);
absl::Status ParseValue(absl::string_view text, std::vector<std::string>& value);  // by commas or semicolons

std::string FormatValue(const std::string& value);
std::string FormatValue(bool value);
std::string FormatValue(std::int64_t value);
std::string FormatValue(int value);
std::string FormatValue(double value);
std::string FormatValue(absl::Duration value);  // in the largest unit that is exact: 72h, 1500ms
std::string FormatValue(ByteSize value);        // likewise: 1GiB, 1500
std::string FormatValue(const std::vector<std::string>& value);

// What a type is called in help and documentation.
absl::string_view TypeName(const std::string&);
absl::string_view TypeName(bool);
absl::string_view TypeName(std::int64_t);
absl::string_view TypeName(int);
absl::string_view TypeName(double);
absl::string_view TypeName(absl::Duration);
absl::string_view TypeName(ByteSize);
absl::string_view TypeName(const std::vector<std::string>&);

}  // namespace millrace::config
