#include "config/value.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace millrace::config {
namespace {

struct Unit {
  absl::string_view name;
  std::int64_t bytes;
};

// Larger first; the binary ones are what FormatValue uses.
constexpr std::array<Unit, 4> kBinaryUnits = {
    {{"TiB", 1ll << 40}, {"GiB", 1ll << 30}, {"MiB", 1ll << 20}, {"KiB", 1ll << 10}}};
constexpr std::array<Unit, 5> kOtherUnits = {
    {{"TB", 1'000'000'000'000}, {"GB", 1'000'000'000}, {"MB", 1'000'000}, {"KB", 1'000}, {"B", 1}}};

absl::Status Expected(absl::string_view what) { return absl::InvalidArgumentError(what); }

template <typename Integer>
absl::Status ParseInteger(absl::string_view text, Integer& value) {
  Integer parsed = 0;
  if (!absl::SimpleAtoi(text, &parsed)) return Expected("is not a whole number; write for example 8");
  value = parsed;
  return absl::OkStatus();
}

}  // namespace

absl::Status ParseValue(absl::string_view text, std::string& value) {
  value = std::string(text);
  return absl::OkStatus();
}

absl::Status ParseValue(absl::string_view text, bool& value) {
  const std::string lower = absl::AsciiStrToLower(text);
  if (lower == "true" || lower == "on" || lower == "yes") {
    value = true;
  } else if (lower == "false" || lower == "off" || lower == "no") {
    value = false;
  } else {
    return Expected("is not a switch; write true or false");
  }
  return absl::OkStatus();
}

absl::Status ParseValue(absl::string_view text, std::int64_t& value) { return ParseInteger(text, value); }
absl::Status ParseValue(absl::string_view text, int& value) { return ParseInteger(text, value); }

absl::Status ParseValue(absl::string_view text, double& value) {
  double parsed = 0;
  if (!absl::SimpleAtod(text, &parsed) || !std::isfinite(parsed)) {
    return Expected("is not a number; write for example 0.5");
  }
  value = parsed;
  return absl::OkStatus();
}

absl::Status ParseValue(absl::string_view text, absl::Duration& value) {
  absl::Duration parsed;
  double days = 0;
  if (absl::EndsWith(text, "d") && absl::SimpleAtod(text.substr(0, text.size() - 1), &days) && std::isfinite(days)) {
    parsed = days * absl::Hours(24);
  } else if (!absl::ParseDuration(text, &parsed)) {
    parsed = absl::InfiniteDuration();
  }
  if (parsed == absl::InfiniteDuration() || parsed == -absl::InfiniteDuration()) {
    return Expected("is not a time span with a unit; write for example 500ms, 10s, 5m, 72h or 3d");
  }
  value = parsed;
  return absl::OkStatus();
}

absl::Status ParseValue(absl::string_view text, ByteSize& value) {
  std::int64_t unit = 1;
  absl::string_view number = text;
  const auto strip = [&](const auto& units) {
    for (const Unit& candidate : units) {
      if (absl::ConsumeSuffix(&number, candidate.name)) {
        unit = candidate.bytes;
        return true;
      }
    }
    return false;
  };
  if (!strip(kBinaryUnits)) strip(kOtherUnits);
  std::int64_t count = 0;
  std::int64_t bytes = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(number), &count) || count < 0 ||
      __builtin_mul_overflow(count, unit, &bytes)) {
    return Expected("is not a size; write a whole number with a unit, for example 64KiB, 16MiB or 1GiB");
  }
  value.bytes = bytes;
  return absl::OkStatus();
}

absl::Status ParseValue(absl::string_view text, std::vector<std::string>& value) {
  value.clear();
  for (const absl::string_view part : absl::StrSplit(text, absl::ByAnyChar(",;"))) {
    const absl::string_view item = absl::StripAsciiWhitespace(part);
    if (!item.empty()) value.emplace_back(item);
  }
  return absl::OkStatus();
}

std::string FormatValue(const std::string& value) { return value; }
std::string FormatValue(bool value) { return value ? "true" : "false"; }
std::string FormatValue(std::int64_t value) { return absl::StrCat(value); }
std::string FormatValue(int value) { return absl::StrCat(value); }
std::string FormatValue(double value) {
  std::array<char, 32> text;  // the shortest that reads back as the same number
  return std::string(text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr);
}

std::string FormatValue(absl::Duration value) {
  const std::array<std::pair<absl::Duration, absl::string_view>, 4> units = {
      {{absl::Hours(1), "h"}, {absl::Minutes(1), "m"}, {absl::Seconds(1), "s"}, {absl::Milliseconds(1), "ms"}}};
  if (value == absl::ZeroDuration()) return "0s";
  for (const auto& [unit, name] : units) {
    absl::Duration rest;
    const std::int64_t count = absl::IDivDuration(value, unit, &rest);
    if (rest == absl::ZeroDuration()) return absl::StrCat(count, name);
  }
  return absl::FormatDuration(value);
}

std::string FormatValue(ByteSize value) {
  for (const Unit& unit : kBinaryUnits) {
    if (value.bytes != 0 && value.bytes % unit.bytes == 0) return absl::StrCat(value.bytes / unit.bytes, unit.name);
  }
  return absl::StrCat(value.bytes);
}

std::string FormatValue(const std::vector<std::string>& value) { return absl::StrJoin(value, ","); }

absl::string_view TypeName(const std::string&) { return "text"; }
absl::string_view TypeName(bool) { return "switch"; }
absl::string_view TypeName(std::int64_t) { return "number"; }
absl::string_view TypeName(int) { return "number"; }
absl::string_view TypeName(double) { return "number"; }
absl::string_view TypeName(absl::Duration) { return "time span"; }
absl::string_view TypeName(ByteSize) { return "size"; }
absl::string_view TypeName(const std::vector<std::string>&) { return "list"; }

}  // namespace millrace::config
