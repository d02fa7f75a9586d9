#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/events.h"

// A run of the core as bytes: a header, then every turn's input. Replaying it with the same options on the same image
// gives the same actions. Opening files is the caller's business. Format: docs/formats/event_file.md.
namespace millrace::core {

void AppendEventFileHeader(std::string& out);
void AppendEventBatch(const EventBatch& batch, std::string& out);

class EventFileReader {
 public:
  // `bytes` outlives the reader.
  explicit EventFileReader(absl::string_view bytes) : rest_(bytes), size_(bytes.size()) {}

  // Reads the next turn into `batch`; false at the end of the file.
  // Errors: kDataLoss  it is no event file, or a turn is cut off or damaged; the position is named.
  absl::StatusOr<bool> Next(EventBatch& batch);

 private:
  std::size_t position() const { return size_ - rest_.size(); }

  absl::string_view rest_;
  std::size_t size_;
  bool header_read_ = false;
};

}  // namespace millrace::core
