#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "http/metric_families.h"

namespace millrace::http {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double OpenFiles() {
  std::error_code error;
  const auto begin = std::filesystem::directory_iterator("/proc/self/fd", error);
  return error ? 0 : static_cast<double>(std::distance(begin, std::filesystem::directory_iterator()));
}

}  // namespace

void CollectProcess(MetricFamilies& families) {
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
  families.Gauge("process_open_fds", "Open file descriptors.", OpenFiles());
}

}  // namespace millrace::http
