#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "store/commit_log.h"

// The state image: an ordered key-value store that holds the fold of the log up to a position. It has no log of its
// own; after a crash it has what its last Flush() had, and the commit log replays the rest. docs/formats/state_image.md
namespace millrace::store {

// Puts and deletes of one or more records; applied as one.
class ImageChanges {
 public:
  virtual ~ImageChanges() = default;
  virtual void Put(absl::string_view key, absl::string_view value) = 0;
  virtual void Delete(absl::string_view key) = 0;
  virtual void DeletePrefix(absl::string_view prefix) = 0;
};

// Keys that start with a zero byte are the image's own (position). One writer; Scan from any thread.
class StateImage {
 public:
  virtual ~StateImage() = default;
  // `fill` adds changes; they and `applied` become visible together.
  virtual absl::Status Apply(LogPosition applied, absl::FunctionRef<void(ImageChanges&)> fill) = 0;
  virtual absl::Status Flush() = 0;
  virtual LogPosition applied() const = 0;  // of what Scan sees
  virtual LogPosition flushed() const = 0;  // of the last Flush() that returned OK (or of the start)
  virtual absl::Status Scan(absl::string_view prefix,
                            absl::FunctionRef<void(absl::string_view key, absl::string_view value)> each) const = 0;
};

// RocksDB in `directory`, without its write-ahead log.
absl::StatusOr<std::unique_ptr<StateImage>> OpenRocksImage(const std::string& directory);

// The twin in memory. Reboot() forgets what was not flushed.
class MemoryImage : public StateImage {
 public:
  virtual void Reboot() = 0;
};
std::unique_ptr<MemoryImage> MakeMemoryImage();

}  // namespace millrace::store
