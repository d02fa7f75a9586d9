#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "absl/strings/numbers.h"
#include "http/metric_families.h"

namespace millrace::http {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// Entries of a directory of /proc/self; 0 when it cannot be read.
double EntriesOf(const char* directory) {
  std::error_code error;
  const auto begin = std::filesystem::directory_iterator(directory, error);
  return error ? 0 : static_cast<double>(std::distance(begin, std::filesystem::directory_iterator()));
}

// Seconds since 1970 at which this process started; 0: unknown.
double StartTime() {
  std::ifstream stat("/proc/self/stat"), boot("/proc/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), {}), word;
  // The name in parentheses may hold anything; field 22 is the 20th behind it.
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  for (int i = 0; i < 20; ++i) fields >> word;
  double ticks = 0, booted = 0;
  if (!absl::SimpleAtod(word, &ticks)) return 0;
  while (boot >> word) {
    if (word == "btime" && boot >> booted) return booted + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
  }
  return 0;
}

}  // namespace

void CollectProcess(MetricFamilies& families) {
  families.Gauge("millrace_build_info", "1.", 1, {{"version", MILLRACE_VERSION}, {"compiler", "gcc " __VERSION__}});
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  families.Counter("process_cpu_seconds_total", "User and system time.",
                   Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
  std::ifstream statm("/proc/self/statm");
  double pages = 0, resident = 0;
  if (statm >> pages >> resident) {
    families.Gauge("process_resident_memory_bytes", "Resident memory.",
                   resident * static_cast<double>(sysconf(_SC_PAGESIZE)));
  }
  families.Gauge("process_open_fds", "Open file descriptors.", EntriesOf("/proc/self/fd"));
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    families.Gauge("process_max_fds", "Limit of open file descriptors.", static_cast<double>(files.rlim_cur));
  }
  families.Gauge("process_threads", "Threads.", EntriesOf("/proc/self/task"));
  static const double start = StartTime();
  if (start > 0) families.Gauge("process_start_time_seconds", "Start, since 1970.", start);
}

}  // namespace millrace::http
