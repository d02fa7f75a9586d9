#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/file_system.h"

// The small files of a broker's directory: identity, lock, abort, checkpoint. docs/formats/store_files.md
namespace millrace::store {

struct Identity {
  std::string store_id;  // 16 random bytes, made once
  std::string cluster;
  std::string broker_set;
  std::uint32_t replica = 0;
};

// Seed of every checksum of the log: from the store id.
std::uint64_t StoreSeed(const Identity& identity);

struct Checkpoint {
  std::uint64_t flushed_end = 0;   // of the log
  std::uint64_t image_offset = 0;  // of the last flushed image
  std::uint64_t queues_applied = 0;
};

// What is found at a start.
struct Opened {
  Identity identity;
  Checkpoint checkpoint;
  bool fresh = false;      // the directory had no store
  bool unclean = false;    // `abort` was there
  bool power_cut = false;  // ... of another boot of the machine
  std::unique_ptr<io::FileLock> lock;
};

// Locks the directory, reads identity (or makes it, with `expected`'s names), and leaves `abort` behind, durable: with
// `boot_id`, but after a power cut as it was, until NoteBoot().
// Errors: kAlreadyExists       another process holds the lock; the holder is named
//         kFailedPrecondition  the volume belongs to another cluster, broker set or replica: both are named
//         kDataLoss            identity or checkpoint does not validate
absl::StatusOr<Opened> OpenStoreFiles(io::FileSystem& fs, const std::string& directory, const Identity& expected,
                                      absl::string_view holder, absl::string_view boot_id);

// After a power cut, when what the start did about it (a new epoch) is durable: from now on the next start need not do
// it again. Before that, a start that was killed in between would look like an ordinary one.
absl::Status NoteBoot(io::FileSystem& fs, const std::string& directory, absl::string_view boot_id);

// For those who only look: nothing is locked or changed.
absl::StatusOr<Identity> ReadIdentity(io::FileSystem& fs, const std::string& directory);
// Zeros when there is no checkpoint.
absl::StatusOr<Checkpoint> ReadCheckpoint(io::FileSystem& fs, const std::string& directory);

absl::Status WriteCheckpoint(io::FileSystem& fs, const std::string& directory, const Checkpoint& checkpoint);

// The last act of a clean stop: checkpoint, then `abort` goes.
absl::Status CloseStoreFiles(io::FileSystem& fs, const std::string& directory, const Checkpoint& checkpoint);

// The kernel's boot id.
std::string BootId();

}  // namespace millrace::store
