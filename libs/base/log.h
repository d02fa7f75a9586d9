#pragma once

#include <initializer_list>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/strings/str_cat.h"

// One constant sentence plus fields: MR_LOG(Info, "commit log recovered", {{"dir", dir}, {"end", end}}).
//   Error  data lost, or a request failed for a bad reason     Warn  may heal
//   Info   rarer than every few seconds                        Debug  per request
// Thread-safe. Text or JSON on standard error (SetUpLog); never a body, never a secret.
namespace millrace::base {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

struct LogField {
  template <typename T>
  LogField(absl::string_view k, const T& v) : key(k), value(absl::StrCat(v)) {}
  LogField(absl::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  absl::string_view key;
  std::string value;
};

// level: debug, info, warn, error. format: text, json. False (and no change) when a name is unknown.
bool SetUpLog(absl::string_view level, absl::string_view format);
bool LogEnabled(LogLevel level);
void WriteLog(LogLevel level, absl::string_view sentence, std::initializer_list<LogField> fields = {});

}  // namespace millrace::base

#define MR_LOG(level, ...)                                                           \
  do {                                                                               \
    if (::millrace::base::LogEnabled(::millrace::base::LogLevel::k##level))          \
      ::millrace::base::WriteLog(::millrace::base::LogLevel::k##level, __VA_ARGS__); \
  } while (false)
