// Segments of the commit log: scanner and recovery.
//   input := flags, recorded_end / 64, segment bytes
// flags: 1 checksums are put right, 2 the bytes beyond 4 KiB are a second segment
#include <algorithm>
#include <map>
#include <string>

#include "base/log.h"
#include "io/testing/memory_file_system.h"
#include "store/log_format.h"
#include "store/testing/log_fixture.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

constexpr std::size_t kSegmentBytes = 4096;

std::uint32_t SeedOf(std::uint64_t value, std::uint32_t continued_from = 0) {
  std::string bytes;
  base::Put(bytes, value);
  return base::Crc32c(bytes, continued_from);
}

// Checksum of the batch at `at` whose records end at `end`, and those of its records.
std::uint32_t RepairRecords(std::string& bytes, std::size_t at, std::size_t end) {
  const std::uint32_t seed = SeedOf(store::testing::kTestSeed);
  std::uint32_t batch = seed;
  for (std::size_t record = at + store::kBatchHeaderBytes; record + store::kRecordHeaderBytes <= end;) {
    const auto length = base::Load<std::uint32_t>(bytes.data() + record);
    if (length < store::kRecordHeaderBytes || length > end - record) break;
    const absl::string_view view = absl::string_view(bytes).substr(record, length);
    const std::uint32_t checksum = base::Crc32c(view.substr(8), base::Crc32c(view.substr(0, 4), SeedOf(record, seed)));
    base::Store(bytes.data() + record + 4, checksum);
    batch = base::Crc32c(absl::string_view(bytes).substr(record + 4, 4), batch);
    record += store::PaddedBytes(length);
  }
  return batch;
}

// Every batch that follows another from the start on gets its checksums, offset and link to the one before.
void Repair(std::string& bytes) {
  const std::uint32_t seed = SeedOf(store::testing::kTestSeed);
  std::uint32_t previous = 0;
  std::size_t at = 0;
  while (at + store::kBatchHeaderBytes <= bytes.size()) {
    const auto length = base::Load<std::uint32_t>(bytes.data() + at + 24);
    if (base::Load<std::uint32_t>(bytes.data() + at) != store::kBatchMagic || length < store::kBatchHeaderBytes) {
      if (at >= kSegmentBytes) return;
      at = kSegmentBytes;  // the rest of the first segment is unused
      continue;
    }
    base::Store<std::uint64_t>(bytes.data() + at + 16, at);
    base::Store(bytes.data() + at + 48, previous);
    base::Store(bytes.data() + at + 52, RepairRecords(bytes, at, std::min<std::size_t>(bytes.size(), at + length)));
    previous = base::Crc32c(absl::string_view(bytes).substr(at, 60), seed);
    base::Store(bytes.data() + at + 60, previous);
    if (length > bytes.size()) return;
    at += store::PaddedBytes(length);
  }
}

void WriteSegment(io::FileSystem& fs, const std::string& name, absl::string_view content) {
  auto file = fs.Open("commitlog/" + name, io::OpenMode::kCreate);
  MR_CHECK(file.ok() && (*file)->Write(0, content).ok());
}

void Run(std::uint8_t flags, std::uint64_t recorded_end, std::string bytes) {
  bytes.resize(std::min(bytes.size(), 2 * kSegmentBytes));
  if (flags & 1) Repair(bytes);
  io::testing::MemoryFileSystem fs;
  MR_CHECK(fs.CreateDirectories("commitlog").ok());
  const std::size_t first = flags & 2 ? std::min(bytes.size(), kSegmentBytes) : bytes.size();
  WriteSegment(fs, "00000000000000000000", bytes.substr(0, first));
  if (first < bytes.size()) WriteSegment(fs, "00000000000000004096", bytes.substr(first));

  store::LogOptions options = store::testing::SmallLog();
  options.recorded_end = recorded_end;
  const std::map<std::string, std::string> before = fs.Contents();
  absl::Status status;
  const auto log = store::testing::TryRecover(fs, options, {}, status);
  if (log == nullptr) {
    MR_CHECK(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status));
    MR_CHECK(fs.Contents() == before);  // damage and foreign versions are left as they are
    return;
  }
  MR_CHECK(log->recovery.end.offset >= recorded_end);
  std::uint64_t end = 0;
  for (const auto& batch : log->recovered) {
    MR_CHECK(batch.offset >= end && batch.end > batch.offset);
    end = batch.end;
  }
  MR_CHECK(end == log->recovery.end.offset);
  // A second start finds the same and cuts nothing.
  options.recorded_end = end;
  const auto again = store::testing::TryRecover(fs, options, {}, status);
  MR_CHECK(again != nullptr && again->recovery.cut_bytes == 0 && again->recovery.end.offset == end);
  MR_CHECK(again->recovered.size() == log->recovered.size());
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool quiet = millrace::base::SetUpLog("error", "text");  // every cut is a warning
  MR_CHECK(quiet);
  absl::string_view input = millrace::fuzz::View(data, size);
  const std::uint8_t flags = millrace::fuzz::TakeByte(input);
  const std::uint64_t recorded_end = millrace::fuzz::TakeByte(input) * std::uint64_t{64};
  millrace::Run(flags, recorded_end, std::string(input));
  return 0;
}
