#include "base/log.h"

#include <atomic>
#include <memory>

#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace millrace::base {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<bool> g_json{false};

spdlog::logger& Backend() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("millrace", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(spdlog::level::trace);
    made->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc));
    return made;
  }();
  return *logger;
}

const char* Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "error";
}

void AppendJson(std::string& out, absl::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20) {
      out += "\\u00";
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

std::string Timestamp() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::tm utc{};
  gmtime_r(&now.tv_sec, &utc);
  char text[40];
  const std::size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + n, sizeof text - n, ".%06ldZ", now.tv_nsec / 1000);
  return text;
}

}  // namespace

bool SetUpLog(absl::string_view level, absl::string_view format) {
  if (format != "text" && format != "json") return false;
  for (const LogLevel known : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn, LogLevel::kError}) {
    if (level == Name(known)) {
      g_level = known;
      g_json = format == "json";
      return true;
    }
  }
  return false;
}

bool LogEnabled(LogLevel level) { return level >= g_level.load(std::memory_order_relaxed); }

void WriteLog(LogLevel level, absl::string_view sentence, std::initializer_list<LogField> fields) {
  std::string line;
  if (g_json) {
    line = "{\"ts\":\"" + Timestamp() + "\",\"level\":\"" + Name(level) + "\",\"msg\":";
    AppendJson(line, sentence);
    for (const LogField& field : fields) {
      line.push_back(',');
      AppendJson(line, field.key);
      line.push_back(':');
      AppendJson(line, field.value);
    }
    line.push_back('}');
  } else {
    line = Timestamp() + " " + Name(level) + " ";
    line.append(sentence.data(), sentence.size());
    for (const LogField& field : fields) {
      line.push_back(' ');
      line.append(field.key.data(), field.key.size());
      line.push_back('=');
      if (field.value.find_first_of(" \"=") == std::string::npos && !field.value.empty()) {
        line += field.value;
      } else {
        AppendJson(line, field.value);
      }
    }
  }
  Backend().log(spdlog::level::info, line);
  if (level >= LogLevel::kWarn) Backend().flush();
}

}  // namespace millrace::base
