#include "services/proxy/tls_identity.h"

#include <unistd.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace millrace::proxy {
namespace {

constexpr absl::string_view kKept = "proxy-tls.pem";
constexpr absl::string_view kKeyBegins = "-----BEGIN PRIVATE KEY-----";

absl::StatusOr<std::string> ReadKey(io::FileSystem& fs, absl::string_view key, const std::string& path) {
  auto content = io::ReadFile(fs, path);
  if (content.ok()) return content;
  return absl::Status(content.status().code(), absl::StrCat(key, ": ", content.status().message()));
}

absl::StatusOr<rpc::TlsIdentity> Make(const ProxyConfig& config) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  std::vector<std::string> names{"localhost", "127.0.0.1", "::1", host};
  names.insert(names.end(), config.tls_names.begin(), config.tls_names.end());
  return rpc::MakeSelfSignedIdentity(names);
}

absl::StatusOr<rpc::TlsIdentity> FindOrMake(const ProxyConfig& config, io::FileSystem& fs) {
  if (config.data.empty()) return Make(config);
  const std::string path = absl::StrCat(config.data, "/", kKept);
  if (fs.Exists(path)) {
    MR_ASSIGN_OR_RETURN(const std::string kept, io::ReadFile(fs, path));
    const std::size_t key = kept.find(std::string(kKeyBegins));
    if (key == std::string::npos || key == 0) {
      return absl::DataLossError(absl::StrCat(path, " has no certificate and key; remove it, a new one is made"));
    }
    return rpc::TlsIdentity{.certificate_chain = kept.substr(0, key), .private_key = kept.substr(key)};
  }
  MR_ASSIGN_OR_RETURN(rpc::TlsIdentity made, Make(config));
  MR_RETURN_IF_ERROR(fs.CreateDirectories(config.data));
  MR_RETURN_IF_ERROR(io::ReplaceFile(fs, path, made.certificate_chain + made.private_key));
  return made;
}

}  // namespace

absl::StatusOr<rpc::TlsIdentity> FindTlsIdentity(const ProxyConfig& config, io::FileSystem& fs) {
  rpc::TlsIdentity identity;
  if (!config.tls_certificate.empty()) {
    MR_ASSIGN_OR_RETURN(identity.certificate_chain, ReadKey(fs, "tls.certificate", config.tls_certificate));
    MR_ASSIGN_OR_RETURN(identity.private_key, ReadKey(fs, "tls.key", config.tls_key));
  } else {
    MR_ASSIGN_OR_RETURN(identity, FindOrMake(config, fs));
  }
  if (!config.tls_certificate_out.empty()) {
    MR_RETURN_IF_ERROR(io::ReplaceFile(fs, config.tls_certificate_out, identity.certificate_chain));
  }
  return identity;
}

}  // namespace millrace::proxy
