#pragma once

#include "auth/cluster_secret.h"
#include "auth/user_file.h"
#include "http/metric_families.h"

namespace millrace::auth {

// millrace_auth_...: users, refusals by cause, the state of the file.
void Collect(const UserFile& users, http::MetricFamilies& families);

// millrace_cluster_secret_...: the same of calls between services. Nothing without a secret.
void Collect(const ClusterSecret* secret, http::MetricFamilies& families);

}  // namespace millrace::auth
