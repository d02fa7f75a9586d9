#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "io/file_system.h"
#include "rpc/server.h"
#include "services/proxy/proxy_config.h"

namespace millrace::proxy {

// The certificate that clients see: the configured one; else the one kept in `proxy.data`; else a new one, kept there.
// Writes its public part to tls.certificate-out. Errors name the key and the file.
absl::StatusOr<rpc::TlsIdentity> FindTlsIdentity(const ProxyConfig& config, io::FileSystem& fs);

}  // namespace millrace::proxy
