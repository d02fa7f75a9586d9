#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "store/commit_log.h"
#include "store/log_format.h"

// Bytes of batches and records, both ways. docs/formats/commit_log.md
namespace millrace::store {

// Turns batches into bytes and bytes into batches of one store. Constant after construction, thread-safe.
class BatchCodec {
 public:
  // `check_records` is LogRules::check_records.
  explicit BatchCodec(std::uint64_t store_seed, bool check_records = true);

  // Appends the batch's bytes to `out`. Returns its header checksum.
  std::uint32_t Encode(const AppendBatch& batch, std::uint64_t durable_end, std::uint32_t previous_checksum,
                       std::string& out) const;

  // What a header says. The records are not looked at.
  struct Header {
    std::uint16_t version = 0;
    std::uint64_t epoch = 0;
    std::uint64_t offset = 0;
    std::uint32_t bytes = 0;
    std::uint32_t record_count = 0;
    std::int64_t log_time_millis = 0;
    std::uint64_t durable_end = 0;
    std::uint32_t previous_checksum = 0;
    std::uint32_t batch_checksum = 0;
    std::uint32_t header_checksum = 0;
  };

  // Reads the header at the start of `bytes`, which stand at `offset`.
  // Errors: kDataLoss            no header of this store and place
  //         kFailedPrecondition  its checksum is right and its format version is not ours
  absl::Status ParseHeader(absl::string_view bytes, std::uint64_t offset, Header& header) const;

  // Reads the whole batch of `header.bytes` bytes. Views in `batch` point into `bytes`. Error: kDataLoss.
  absl::Status ParseBatch(absl::string_view bytes, const Header& header, LogBatch& batch) const;

  // Reads one record that takes all of `bytes` (with padding) at `offset`. Error: kDataLoss.
  absl::Status ParseRecord(absl::string_view bytes, std::uint64_t offset, LogRecord& record) const;

 private:
  std::uint32_t RecordChecksum(absl::string_view record, std::uint64_t offset) const;
  void EncodeRecord(const AppendRecord& record, std::uint64_t offset, std::string& out) const;

  const std::uint32_t seed_;
  const bool check_records_;
};

}  // namespace millrace::store
