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
    : disk_(disk), options_(options), boot_id_(absl::StrCat("boot ", before.boot)), faults_(disk) {
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
  epoch_ = reader.Read<std::uint64_t>();
  return position;
}

void BrokerLife::Start(const Truth& before) {
  const Identity expected{.store_id = "0123456789abcdef", .cluster = "c", .broker_set = "b"};
  absl::StatusOr<Opened> opened = OpenStoreFiles(faults_, ".", expected, "test", boot_id_);
  if (!opened.ok()) {
    violation_ = absl::StrCat("the store does not open: ", opened.status().message());
    return;
  }
  lock_ = std::move(opened->lock);
  power_cut_ = opened->power_cut;
  if (!options_.start_rules.note_boot) MR_CHECK(NoteBoot(faults_, ".", boot_id_).ok());
  LogOptions options{.segment_bytes = kSegmentBytes,
                     .async_flush = options_.async_flush,
                     .flush_interval_millis = kFlushIntervalMillis,
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
  if (violation_.empty()) ChooseEpoch(before);
  if (options_.only_start) return;
  disk_.Note(log_->recovery.end.offset, "started");
  log_->listener.AlsoTell([this](const char* what, std::uint64_t end) { disk_.Note(end, what); });
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
    epoch_ = std::max(epoch_, found.epoch);
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

void BrokerLife::ChooseEpoch(const Truth& before) {
  if (power_cut_ && options_.start_rules.new_epoch) ++epoch_;
  if (!options_.only_start) log_->appender->SetEpoch(epoch_);
  const auto shown = before.shown.find(epoch_);
  if (shown == before.shown.end() || shown->second <= log_->recovery.end.offset) return;
  violation_ = absl::StrCat("used twice: in epoch ", epoch_, " everything up to ", shown->second,
                            " was shown, and it goes on at ", log_->recovery.end.offset);
}

void BrokerLife::Append(const std::vector<std::string>& payloads) { log_->Append(payloads); }

void BrokerLife::AppendStart() {
  AppendMetadata(absl::StrCat(kStartMark, last_start_number_ + 1));
  // Else the writer may take the next batch together with this one, and it is flushed with it: then there is no crash
  // point between its write and its flush, and whether there is one would be the scheduler's choice.
  if (options_.async_flush) WaitUntilWritten();
  if (power_cut_ && Drain()) MR_CHECK(NoteBoot(faults_, ".", boot_id_).ok());
}

void BrokerLife::AppendMetadata(const std::string& payload) { log_->Append({payload}, true); }

void BrokerLife::PassInterval() {
  log_->listener.WaitUntilWritten(appender().end());
  const std::uint64_t before = appender().end();
  clock_.Advance(kFlushIntervalMillis);
  // The writer looks at the clock behind each write, so when the second one stands the first one's flush is over.
  for (int i = 0; i < 2; ++i) {
    Append({"after the interval"});
    log_->listener.WaitUntilWritten(appender().end());
  }
  if (log_->listener.flushed() >= before) return;
  violation_ = absl::StrCat("late: ", before, " was written an interval ago, and only ", log_->listener.flushed(),
                            " is flushed");
}

void BrokerLife::AppendTogether(const std::vector<std::vector<std::string>>& batches) {
  const bool syncs = options_.rules.sync && !options_.async_flush;
  faults_.HoldSyncs(syncs ? 1 : 0);
  Append(batches.front());
  if (syncs) faults_.WaitForHeldSync();
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
  base::Put(text, epoch_);
  MR_CHECK(io::ReplaceFile(disk_, "image", text).ok());
  image_offset_ = position.offset;
}

void BrokerLife::Retire() { MR_CHECK(log_->log->RemoveBelow(image_offset_).ok()); }

std::vector<KnownBatch> BrokerLife::Line() const {
  std::vector<KnownBatch> line = recovered_line_;
  const std::vector<KnownBatch>& appended = log_->appender->known();
  line.insert(line.end(), appended.begin(), appended.end());
  return line;
}

}  // namespace millrace::store::testing
