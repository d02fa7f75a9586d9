#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "auth/client_signature.h"
#include "auth/users.h"
#include "auth/watched_file.h"
#include "base/mutex.h"
#include "io/file_system.h"
#include "rpc/transport.h"

namespace millrace::auth {

// The user file of a proxy, and the check of what clients and administrators sign.
// Threads.  Check() and counters from any thread. Lifetime: the file system outlives it.
class UserFile {
 public:
  static constexpr std::int64_t kPollMillis = 2'000;

  // Errors: kNotFound, kUnavailable (reading), kInvalidArgument (content)
  static absl::StatusOr<std::unique_ptr<UserFile>> Open(const std::string& path, io::FileSystem& fs,
                                                        std::int64_t poll_millis = kPollMillis);

  // nullopt: the call comes from a user.
  std::optional<Refusal> Check(const rpc::ServerCall& call) const;

  std::size_t users() const { return Now()->size(); }
  std::uint64_t refused(RefusalCause cause) const { return refused_[static_cast<std::size_t>(cause)]; }
  WatchedFile::Counts file() const { return file_->counts(); }
  void Poll() { file_->Poll(); }

 private:
  UserFile() = default;
  std::shared_ptr<const Users> Now() const {
    base::MutexLock lock(mu_);
    return users_;
  }

  mutable std::array<std::atomic<std::uint64_t>, kRefusalCauses> refused_{};
  mutable base::Mutex mu_;
  std::shared_ptr<const Users> users_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<WatchedFile> file_;  // last: its thread changes users_
};

}  // namespace millrace::auth
