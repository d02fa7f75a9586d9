#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/mutex.h"
#include "io/file_system.h"

namespace millrace::auth {

// A small file whose changes are taken over while the process runs. Its content is compared, not its times or its
// inode, so it works for editors, renames and the directories of symbolic links in which Kubernetes mounts a Secret.
// Threads.  Poll() from one thread at a time; counts from any. With `poll_millis` a thread of its own polls.
// Lifetime. The file system outlives it. `apply` is not called after destruction.
class WatchedFile {
 public:
  struct Options {
    std::string path;
    std::string what;                  // "users": in logs
    std::int64_t poll_millis = 2'000;  // 0: only Poll()
    std::uint64_t bytes_max = 1 << 20;
  };
  // Takes a new content over, or refuses it and changes nothing. Its error must not contain secrets.
  using Apply = std::function<absl::Status(absl::string_view content)>;

  struct Counts {
    std::uint64_t loaded = 0;  // contents that were taken over, the first one too
    std::uint64_t failed = 0;  // contents that were refused, and times when the file became unreadable
    bool good = true;          // what is used is what the file has
  };

  // Reads the file for the first time. Errors: those of `apply` and of reading; kInvalidArgument beyond bytes_max
  static absl::StatusOr<std::unique_ptr<WatchedFile>> Open(Options options, io::FileSystem& fs, Apply apply);
  ~WatchedFile();

  void Poll();
  Counts counts() const { return {loaded_, failed_, good_}; }

 private:
  WatchedFile(Options options, io::FileSystem& fs, Apply apply);
  absl::StatusOr<std::string> Read() const;
  void Refused(const absl::Status& status);
  void Run();

  const Options options_;
  io::FileSystem& fs_;
  const Apply apply_;
  std::string seen_;          // the content that was looked at last, good or not
  std::string read_problem_;  // why the file could not be read last time; empty: it could
  std::atomic<std::uint64_t> loaded_{0}, failed_{0};
  std::atomic<bool> good_{true};

  base::Mutex mu_;
  base::CondVar stop_signal_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace millrace::auth
