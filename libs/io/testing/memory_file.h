#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace millrace::io::testing {

// What a power cut leaves of what was not synced.
enum class Survival {
  kNothing,
  kEverything,
  kRandom,    // page by page any version since the last sync; size and names likewise
  kTornLast,  // everything but a part of the very last write
};

// The bytes of one file: as the page cache has them, and as the disk may have them. Not thread-safe.
class MemoryFile {
 public:
  explicit MemoryFile(std::size_t page_bytes) : page_bytes_(page_bytes) {}

  void Write(std::uint64_t offset, absl::string_view data);
  void Truncate(std::uint64_t size);
  void Sync();
  // What a failed fsync does: the pages are clean and keep their content, which never reaches the disk.
  void LoseUnsynced();
  // `last_write`: the last write of the whole file system went to this file.
  void PowerCut(Survival survival, bool last_write, std::mt19937_64& random);
  // Changes one byte everywhere, as a failing medium does.
  void Damage(std::uint64_t offset, unsigned char flip);

  const std::string& content() const { return now_; }

 private:
  void NoteVersion(std::uint64_t page);
  std::string PageOf(const std::string& bytes, std::uint64_t page) const;
  void CutRandomly(std::mt19937_64& random);
  void TearLastWrite(std::mt19937_64& random);

  const std::size_t page_bytes_;
  std::string now_;
  std::string durable_;
  std::map<std::uint64_t, std::vector<std::string>> versions_;  // of pages written since the last sync
  std::vector<std::uint64_t> sizes_;                            // since the last sync
  // The last write, to tear it.
  std::uint64_t last_offset_ = 0;
  std::string last_before_;
  std::size_t last_bytes_ = 0;
};

}  // namespace millrace::io::testing
