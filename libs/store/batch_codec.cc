#include "store/batch_codec.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/status.h"

namespace millrace::store {
namespace {

using base::Crc32c;
using base::Load;
using base::Put;

std::uint32_t SeedOf(std::uint64_t value, std::uint32_t continued_from = 0) {
  char bytes[8];
  base::Store(bytes, value);
  return Crc32c(absl::string_view(bytes, sizeof bytes), continued_from);
}

std::uint32_t PayloadBytes(const AppendRecord& record) {
  return static_cast<std::uint32_t>(record.head.size() + (record.body == nullptr ? 0 : record.body->size()));
}

bool AllZero(absl::string_view bytes) { return bytes.find_first_not_of('\0') == absl::string_view::npos; }

}  // namespace

std::uint32_t BatchBytes(const AppendBatch& batch) {
  std::uint64_t bytes = kBatchHeaderBytes;
  for (const AppendRecord& record : batch.records) {
    bytes += RecordBytes(static_cast<std::uint32_t>(record.keys.size()), PayloadBytes(record));
  }
  MR_CHECK(bytes <= std::numeric_limits<std::uint32_t>::max());
  return static_cast<std::uint32_t>(bytes);
}

BatchCodec::BatchCodec(std::uint64_t store_seed, bool check_records)
    : seed_(SeedOf(store_seed)), check_records_(check_records) {}

std::uint32_t BatchCodec::RecordChecksum(absl::string_view record, std::uint64_t offset) const {
  const std::uint32_t length_checksum = Crc32c(record.substr(0, 4), SeedOf(offset, seed_));
  return Crc32c(record.substr(8), length_checksum);
}

void BatchCodec::EncodeRecord(const AppendRecord& record, std::uint64_t offset, std::string& out) const {
  MR_CHECK(record.keys.size() <= std::numeric_limits<std::uint16_t>::max());
  const std::size_t start = out.size();
  const auto length = static_cast<std::uint32_t>(kRecordHeaderBytes + record.keys.size() * 8 + PayloadBytes(record));
  Put<std::uint32_t>(out, length);
  Put<std::uint32_t>(out, 0);  // checksum
  Put<std::uint8_t>(out, static_cast<std::uint8_t>(record.type));
  Put<std::uint8_t>(out, record.flags);
  Put<std::uint16_t>(out, static_cast<std::uint16_t>(record.keys.size()));
  Put<std::uint32_t>(out, record.queue);
  Put<std::uint64_t>(out, record.topic_id);
  Put<std::int64_t>(out, record.queue_offset);
  Put<std::uint64_t>(out, record.tag_field);
  Put<std::int64_t>(out, record.time_millis);
  for (const std::uint64_t key : record.keys) Put<std::uint64_t>(out, key);
  out.append(record.head);
  if (record.body != nullptr) out.append(*record.body);
  base::Store(out.data() + start + 4, RecordChecksum(absl::string_view(out).substr(start), offset));
  out.append(PaddedBytes(length) - length, '\0');
}

std::uint32_t BatchCodec::Encode(const AppendBatch& batch, std::uint64_t durable_end, std::uint32_t previous_checksum,
                                 std::string& out) const {
  MR_CHECK(!batch.records.empty());
  const std::size_t start = out.size();
  Put<std::uint32_t>(out, kBatchMagic);
  Put<std::uint16_t>(out, kLogFormatVersion);
  Put<std::uint16_t>(out, 0);
  Put<std::uint64_t>(out, batch.epoch);
  Put<std::uint64_t>(out, batch.offset);
  Put<std::uint32_t>(out, 0);  // length
  Put<std::uint32_t>(out, static_cast<std::uint32_t>(batch.records.size()));
  Put<std::int64_t>(out, batch.log_time_millis);
  Put<std::uint64_t>(out, durable_end);
  Put<std::uint32_t>(out, previous_checksum);
  out.append(12, '\0');  // batch checksum, reserved, header checksum

  std::uint32_t batch_checksum = seed_;
  for (const AppendRecord& record : batch.records) {
    const std::size_t at = out.size();
    EncodeRecord(record, batch.offset + (at - start), out);
    batch_checksum = Crc32c(absl::string_view(out).substr(at + 4, 4), batch_checksum);
  }
  base::Store(out.data() + start + 24, static_cast<std::uint32_t>(out.size() - start));
  base::Store(out.data() + start + 52, batch_checksum);
  const std::uint32_t header_checksum = Crc32c(absl::string_view(out).substr(start, 60), seed_);
  base::Store(out.data() + start + 60, header_checksum);
  return header_checksum;
}

absl::Status BatchCodec::ParseHeader(absl::string_view bytes, std::uint64_t offset, Header& header) const {
  if (bytes.size() < kBatchHeaderBytes) return absl::DataLossError("the file ends inside a batch header");
  if (Load<std::uint32_t>(bytes.data()) != kBatchMagic) return absl::DataLossError("no batch header");
  header.header_checksum = Load<std::uint32_t>(bytes.data() + 60);
  if (Crc32c(bytes.substr(0, 60), seed_) != header.header_checksum) {
    return absl::DataLossError("the checksum of a batch header is wrong");
  }
  header.version = Load<std::uint16_t>(bytes.data() + 4);
  if (header.version != kLogFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat("format version ", header.version,
                                                      ", and this release reads version ", kLogFormatVersion,
                                                      ": start the release that wrote it, or a newer one"));
  }
  header.epoch = Load<std::uint64_t>(bytes.data() + 8);
  header.offset = Load<std::uint64_t>(bytes.data() + 16);
  header.bytes = Load<std::uint32_t>(bytes.data() + 24);
  header.record_count = Load<std::uint32_t>(bytes.data() + 28);
  header.log_time_millis = Load<std::int64_t>(bytes.data() + 32);
  header.durable_end = Load<std::uint64_t>(bytes.data() + 40);
  header.previous_checksum = Load<std::uint32_t>(bytes.data() + 48);
  header.batch_checksum = Load<std::uint32_t>(bytes.data() + 52);
  if (header.offset != offset) {
    return absl::DataLossError(absl::StrCat("a batch header that belongs to offset ", header.offset));
  }
  if (header.bytes % kAlignment != 0 || header.bytes < kBatchHeaderBytes + kRecordHeaderBytes ||
      header.record_count == 0) {
    return absl::DataLossError(absl::StrCat("a batch header with impossible sizes: ", header.bytes, " bytes, ",
                                            header.record_count, " records"));
  }
  return absl::OkStatus();
}

absl::Status BatchCodec::ParseRecord(absl::string_view bytes, std::uint64_t offset, LogRecord& record) const {
  if (bytes.size() < kRecordHeaderBytes) return absl::DataLossError("a record is shorter than its header");
  const auto length = Load<std::uint32_t>(bytes.data());
  const std::size_t key_bytes = Load<std::uint16_t>(bytes.data() + 10) * std::size_t{8};
  if (length > bytes.size() || length < kRecordHeaderBytes + key_bytes || PaddedBytes(length) != bytes.size()) {
    return absl::DataLossError(absl::StrCat("a record has an impossible length: ", length));
  }
  if (check_records_ && RecordChecksum(bytes.substr(0, length), offset) != Load<std::uint32_t>(bytes.data() + 4)) {
    return absl::DataLossError("the checksum of a record is wrong");
  }
  if (!AllZero(bytes.substr(length))) return absl::DataLossError("the padding of a record is not zero");
  record.offset = offset;
  record.bytes = static_cast<std::uint32_t>(bytes.size());
  record.type = static_cast<RecordType>(Load<std::uint8_t>(bytes.data() + 8));
  record.flags = Load<std::uint8_t>(bytes.data() + 9);
  record.queue = Load<std::uint32_t>(bytes.data() + 12);
  record.topic_id = Load<std::uint64_t>(bytes.data() + 16);
  record.queue_offset = Load<std::int64_t>(bytes.data() + 24);
  record.tag_field = Load<std::uint64_t>(bytes.data() + 32);
  record.time_millis = Load<std::int64_t>(bytes.data() + 40);
  record.keys.clear();
  for (std::size_t at = 0; at < key_bytes; at += 8) {
    record.keys.push_back(Load<std::uint64_t>(bytes.data() + kRecordHeaderBytes + at));
  }
  record.payload = bytes.substr(kRecordHeaderBytes + key_bytes, length - kRecordHeaderBytes - key_bytes);
  return absl::OkStatus();
}

absl::Status BatchCodec::ParseBatch(absl::string_view bytes, const Header& header, LogBatch& batch) const {
  MR_CHECK(bytes.size() == header.bytes);
  batch.offset = header.offset;
  batch.bytes = header.bytes;
  batch.epoch = header.epoch;
  batch.log_time_millis = header.log_time_millis;
  batch.durable_end = header.durable_end;
  batch.previous_checksum = header.previous_checksum;
  batch.header_checksum = header.header_checksum;
  // A record takes at least 48 bytes, so a forged count cannot make this large.
  if (header.record_count > header.bytes / kRecordHeaderBytes) return absl::DataLossError("a batch has too few bytes");
  batch.records.resize(header.record_count);
  std::uint32_t checksum = seed_;
  std::size_t at = kBatchHeaderBytes;
  for (LogRecord& record : batch.records) {
    if (bytes.size() - at < kRecordHeaderBytes) return absl::DataLossError("a batch ends before its last record");
    const std::uint64_t padded =
        (std::uint64_t{Load<std::uint32_t>(bytes.data() + at)} + kAlignment - 1) / kAlignment * kAlignment;
    if (padded > bytes.size() - at) return absl::DataLossError("a record is longer than its batch");
    MR_RETURN_IF_ERROR(ParseRecord(bytes.substr(at, padded), header.offset + at, record));
    checksum = Crc32c(bytes.substr(at + 4, 4), checksum);
    at += padded;
  }
  if (at != bytes.size()) return absl::DataLossError("a batch is longer than its records");
  if (checksum != header.batch_checksum) return absl::DataLossError("the checksum of a batch is wrong");
  return absl::OkStatus();
}

}  // namespace millrace::store
