#include "store/testing/broker_life.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"

namespace millrace::store::testing {
namespace {
const std::string kStartMark = "start ";
}  // namespace

BrokerLife::BrokerLife(io::testing::MemoryFileSystem& disk, const Truth& before, const LifeOptions& options)
    : disk_(disk), options_(options), faults_(disk) {
  Start(before);
}

BrokerLife::~BrokerLife() { log_.reset(); }

LogPosition BrokerLife::ReadImage() {
  const absl::StatusOr<std::string> text = io::ReadFile(disk_, "image");
  if (!text.ok()) return {};
  base::ByteReader reader(*text);
  LogPosition position;
  position.offset = reader.Read<std::uint64_t>();
  position.previous_checksum = reader.Read<std::uint32_t>();
  return position;
}

void BrokerLife::Start(const Truth& before) {
  const Identity expected{.store_id = "0123456789abcdef", .cluster = "c", .broker_set = "b"};
  absl::StatusOr<Opened> opened = OpenStoreFiles(faults_, ".", expected, "test", "boot");
  if (!opened.ok()) {
    violation_ = absl::StrCat("the store does not open: ", opened.status().message());
    return;
  }
  lock_ = std::move(opened->lock);
  LogOptions options{.segment_bytes = kSegmentBytes,
                     .recorded_end = opened->checkpoint.flushed_end,
                     .prepare_segments = options_.prepare_segments,
                     .rules = options_.rules};
  const LogPosition from = ReadImage();
  image_offset_ = from.offset;
  absl::Status status;
  if (options_.only_start) {
    log_ = TryRecover(faults_, options, from, status);
  } else {
    log_ = TryOpen(faults_, clock_, options, from, status);
  }
  if (log_ == nullptr) {
    violation_ = absl::StrCat("the log does not open: ", status.message());
    return;
  }
  Compare(before, from);
  if (options_.only_start) return;
  disk_.Note(log_->recovery.end.offset);
  log_->listener.AlsoOnFlushed([this](std::uint64_t end) { disk_.Note(end); });
}

void BrokerLife::Compare(const Truth& before, LogPosition from) {
  auto known = before.line.begin();
  while (known != before.line.end() && known->offset < from.offset) ++known;
  for (const KnownBatch& found : log_->recovered) {
    if (known == before.line.end() || known->offset != found.offset || known->content != found.content) {
      violation_ = absl::StrCat("phantom: at ", found.offset, " stands a batch that does not belong there");
      return;
    }
    ++known;
    const std::size_t mark = found.content.find(kStartMark);
    int number = 0;
    if (mark != std::string::npos && absl::SimpleAtoi(found.content.substr(mark + kStartMark.size()), &number)) {
      last_start_number_ = std::max(last_start_number_, number);
    }
  }
  if (log_->recovery.end.offset < before.acknowledged) {
    violation_ =
        absl::StrCat("lost: acknowledged up to ", before.acknowledged, ", found up to ", log_->recovery.end.offset);
  }
  recovered_line_.assign(before.line.begin(), known);
}

void BrokerLife::Append(const std::vector<std::string>& payloads) { log_->Append(payloads); }

void BrokerLife::AppendStart() { Append({absl::StrCat(kStartMark, last_start_number_ + 1)}); }

void BrokerLife::AppendTogether(const std::vector<std::vector<std::string>>& batches) {
  faults_.HoldSyncs(options_.rules.sync ? 1 : 0);
  Append(batches.front());
  if (options_.rules.sync) faults_.WaitForHeldSync();
  for (std::size_t i = 1; i < batches.size(); ++i) Append(batches[i]);
  // With the rule there is no second sync to wait for.
  if (!options_.rules.one_sync) log_->listener.WaitUntilFlushed(log_->appender->end());
  faults_.ReleaseSyncs();
}

void BrokerLife::Checkpoint() {
  const std::uint64_t end = log_->log->flushed_end();
  MR_CHECK(WriteCheckpoint(disk_, ".", {.flushed_end = end, .image_offset = image_offset_}).ok());
}

void BrokerLife::FlushImage() {
  const LogPosition position = log_->log->flushed_position();
  std::string text;
  base::Put(text, position.offset);
  base::Put(text, position.previous_checksum);
  MR_CHECK(io::ReplaceFile(disk_, "image", text).ok());
  image_offset_ = position.offset;
}

void BrokerLife::Retire() { MR_CHECK(log_->log->RemoveBelow(image_offset_).ok()); }

Truth BrokerLife::Known() const {
  Truth truth{.line = recovered_line_, .acknowledged = std::max(log_->recovery.end.offset, log_->listener.flushed())};
  const std::vector<KnownBatch>& appended = log_->appender->known();
  truth.line.insert(truth.line.end(), appended.begin(), appended.end());
  return truth;
}

}  // namespace millrace::store::testing
