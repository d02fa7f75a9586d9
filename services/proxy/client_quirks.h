#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "absl/strings/string_view.h"

// What released client libraries get wrong, in one table. Everything else treats all clients alike.
namespace millrace::proxy {

enum ClientQuirk : std::uint32_t {
  // Understands an exponential backoff only: with a customized one it sends a FIFO failure to the dead letter queue at
  // the first attempt.
  kQuirkExponentialBackoff = 1,
  // A push consumer asks its metrics provider for gauges and dies when there is none, so metrics must be on with an
  // endpoint. The exports that follow fail once a minute and are only logged.
  kQuirkMetricsOn = 2,
};

struct ClientVersion {
  int major = 0;
  int minor = 0;
  int patch = 0;
  friend auto operator<=>(const ClientVersion&, const ClientVersion&) = default;
};

// "5.1.2", "5.1.2-SNAPSHOT", "v5.1"; parts that are missing or no numbers are 0.
inline ClientVersion ParseClientVersion(absl::string_view text) {
  int parts[3] = {0, 0, 0};
  std::size_t at = 0;
  if (!text.empty() && (text[0] == 'v' || text[0] == 'V')) ++at;
  for (int& part : parts) {
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && part < 100'000; ++at) {
      part = part * 10 + (text[at] - '0');
    }
    if (at == text.size() || text[at] != '.') break;
    ++at;
  }
  return {parts[0], parts[1], parts[2]};
}

struct ClientQuirkRow {
  absl::string_view language;  // header x-mq-language
  ClientVersion first;         // both ends included
  ClientVersion last;
  std::uint32_t quirks;
};

inline constexpr ClientVersion kAnyVersion = {1 << 30, 0, 0};
inline constexpr std::array<ClientQuirkRow, 2> kClientQuirks = {{
    {"HTTP", {}, kAnyVersion, kQuirkExponentialBackoff},  // Node.js calls itself HTTP; seen with 1.0.8
    {"PYTHON", {}, {5, 1, 2}, kQuirkMetricsOn},           // seen with 5.0.9 and 5.1.2
}};

// The quirks of a client by its headers x-mq-language and x-mq-client-version; 0 for clients without any.
inline std::uint32_t QuirksOf(absl::string_view language, absl::string_view version) {
  const ClientVersion parsed = ParseClientVersion(version);
  std::uint32_t quirks = 0;
  for (const ClientQuirkRow& row : kClientQuirks) {
    if (row.language == language && row.first <= parsed && parsed <= row.last) quirks |= row.quirks;
  }
  return quirks;
}

}  // namespace millrace::proxy
