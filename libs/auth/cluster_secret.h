#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "auth/refusal_notes.h"
#include "auth/signing_channel.h"
#include "auth/watched_file.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "config/schema.h"
#include "io/file_system.h"
#include "rpc/transport.h"

namespace millrace::auth {

// The key of every process that calls or serves others of ours.
struct ClusterSecretConfig {
  std::string secret_file;

  static void Declare(config::Schema<ClusterSecretConfig>& keys) {
    keys.Add("cluster.secret-file", &ClusterSecretConfig::secret_file)
        .Doc(
            "File with the secret that nameservers, brokers and proxies share, one a line: the first signs, each is "
            "accepted. Read again when it changes. Empty: the ports between them take calls from anybody.")
        .Example("/etc/millrace/cluster/secret");
  }
};

// The secret that our processes share: signs calls on one side and checks them on the other, at the start of a call or
// stream. A call carries the time and an HMAC-SHA256 over method and time, so the secret itself stays at home, a
// signature is of no use for another method, nor later than kClockDifferenceMaxMillis.
// Threads.  Any. Lifetime: file system and clock outlive it.
class ClusterSecret final : public CallSigner {
 public:
  static constexpr std::int64_t kPollMillis = 2'000;
  static constexpr std::int64_t kClockDifferenceMaxMillis = 15 * 60 * 1'000;
  static constexpr std::size_t kSecretBytesMin = 16, kSecretBytesMax = 1'024;
  static constexpr std::size_t kSecretsMax = 8;

  // An empty path: nullptr, which means that nothing is signed and everything is let in.
  // Errors: kNotFound, kUnavailable (reading), kInvalidArgument (content)
  static absl::StatusOr<std::shared_ptr<ClusterSecret>> Open(const std::string& path, io::FileSystem& fs,
                                                             const base::Clock& clock,
                                                             std::int64_t poll_millis = kPollMillis);

  Headers HeadersFor(absl::string_view method) const override;

  // kUnauthenticated with cause and fix, for the caller.
  absl::Status Check(const rpc::ServerCall& call) const;

  std::uint64_t refused() const { return refused_; }
  WatchedFile::Counts file() const { return file_->counts(); }
  void Poll() { file_->Poll(); }

 private:
  using Secrets = std::vector<std::string>;

  explicit ClusterSecret(const base::Clock& clock) : clock_(clock) {}
  static absl::StatusOr<Secrets> Parse(absl::string_view path, absl::string_view content);
  std::shared_ptr<const Secrets> Now() const {
    base::MutexLock lock(mu_);
    return secrets_;
  }
  absl::Status Judge(const rpc::ServerCall& call) const;

  const base::Clock& clock_;
  mutable std::atomic<std::uint64_t> refused_{0};
  mutable RefusalNotes notes_;
  mutable base::Mutex mu_;
  std::shared_ptr<const Secrets> secrets_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<WatchedFile> file_;  // last: its thread changes secrets_
};

// For rpc::ServerOptions::admit. Null without a secret.
std::function<absl::Status(const rpc::ServerCall&)> AdmitBy(std::shared_ptr<const ClusterSecret> secret);

}  // namespace millrace::auth
