#include "auth/auth_metrics.h"

#include <string>

namespace millrace::auth {
namespace {

double Number(std::uint64_t value) { return static_cast<double>(value); }

void CollectFile(const std::string& prefix, const WatchedFile::Counts& file, http::MetricFamilies& families) {
  const std::string loads = prefix + "_loads_total", help = "Contents of the file that were taken over, or refused.";
  families.Counter(loads, help, Number(file.loaded), {{"result", "ok"}});
  families.Counter(loads, help, Number(file.failed), {{"result", "failed"}});
  families.Gauge(prefix + "_file_good", "0: the file cannot be used, what was read before stays in force.", file.good);
}

}  // namespace

void Collect(const UserFile& users, http::MetricFamilies& families) {
  families.Gauge("millrace_auth_users", "Users that may call.", Number(users.users()));
  for (int i = 0; i < kRefusalCauses; ++i) {
    const auto cause = static_cast<RefusalCause>(i);
    const absl::string_view name = NameOf(cause);
    families.Counter("millrace_auth_refused_total", "Calls of clients and administrators that no user had signed.",
                     Number(users.refused(cause)), {{"cause", std::string(name.data(), name.size())}});
  }
  CollectFile("millrace_auth", users.file(), families);
}

void Collect(const ClusterSecret* secret, http::MetricFamilies& families) {
  if (secret == nullptr) return;
  families.Counter("millrace_cluster_secret_refused_total", "Calls of processes without the secret of the cluster.",
                   Number(secret->refused()));
  CollectFile("millrace_cluster_secret", secret->file(), families);
}

}  // namespace millrace::auth
