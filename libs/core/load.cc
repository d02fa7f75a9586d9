#include <algorithm>
#include <bit>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/status.h"
#include "core/impl.h"

// The state from the image: docs/formats/state_image.md.
namespace millrace::core {
namespace {

absl::Status Bad(absl::string_view key, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("state image: key ", absl::BytesToHexString(key), " (", what,
                                          ") does not decode; remove the image and let it be rebuilt from the log"));
}

// Scans `prefix` and stops looking at the first key that `each` refuses.
template <typename Each>
absl::Status ScanAll(const ImageReader& image, absl::string_view prefix, std::size_t key_bytes, absl::string_view what,
                     Each each) {
  absl::Status status;
  image.Scan(prefix, [&](absl::string_view key, absl::string_view value) {
    if (!status.ok()) return;
    if (key.size() != key_bytes || !each(key, value)) status = Bad(key, what);
  });
  return status;
}

bool ReadNumber(absl::string_view value, std::uint64_t& number) {
  base::ByteReader reader(value);
  number = reader.ReadVarint();
  return reader.AtEnd();
}

}  // namespace

absl::Status Core::Impl::Load(const ImageReader& image, std::uint64_t log_end) {
  MR_CHECK(!started_ && topics_.empty());
  log_end_ = confirmed_end_ = flushed_end_ = log_end;
  std::uint64_t number = 0;
  MR_RETURN_IF_ERROR(ScanAll(image, key::kLogTime, 1, "log time", [&](absl::string_view, absl::string_view value) {
    const bool good = ReadNumber(value, number);
    now_ = static_cast<std::int64_t>(number);
    return good;
  }));
  MR_RETURN_IF_ERROR(ScanAll(image, key::kStart, 1, "start number", [&](absl::string_view, absl::string_view value) {
    const bool good = ReadNumber(value, number);
    start_number_ = static_cast<std::uint32_t>(number);
    return good;
  }));
  MR_RETURN_IF_ERROR(ScanAll(image, key::kEpoch, 1, "epoch",
                             [&](absl::string_view, absl::string_view value) { return ReadNumber(value, epoch_); }));
  MR_RETURN_IF_ERROR(ScanAll(image, key::kCluster, 1, "cluster", [&](absl::string_view, absl::string_view value) {
    base::ByteReader reader(value);
    cluster_ = ReadClusterValue(reader);
    return reader.ok();
  }));
  MR_RETURN_IF_ERROR(ScanAll(image, key::kIds, 1, "ids", [&](absl::string_view, absl::string_view value) {
    base::ByteReader reader(value);
    metadata_version_ = reader.ReadVarint();
    next_topic_ = reader.ReadVarint();
    next_group_ = reader.ReadVarint();
    return reader.ok();
  }));
  MR_RETURN_IF_ERROR(LoadMetadata(image));
  return LoadCursors(image);
}

absl::Status Core::Impl::LoadMetadata(const ImageReader& image) {
  MR_RETURN_IF_ERROR(ScanAll(image, "t", 9, "topic", [&](absl::string_view key, absl::string_view value) {
    auto topic = DecodeTopic(value);
    if (!topic || topic->id != key::Number64(key, 1)) return false;
    if (topic->queues == 0 || topic->queues > kTopicQueuesMax) return false;
    AddTopic(*std::move(topic));
    return true;
  }));
  MR_RETURN_IF_ERROR(ScanAll(image, "g", 9, "group", [&](absl::string_view key, absl::string_view value) {
    auto group = DecodeGroup(value);
    if (!group || group->id != key::Number64(key, 1)) return false;
    AddGroup(*std::move(group));
    return true;
  }));
  MR_RETURN_IF_ERROR(ScanAll(image, "q", 13, "queue end", [&](absl::string_view key, absl::string_view value) {
    const std::uint64_t id = key::Number64(key, 1);
    const std::uint32_t queue = key::Number32(key, 9);
    std::uint64_t end = 0;
    if (!ReadNumber(value, end)) return false;
    Topic* topic = FindTopic(id);
    if (topic == nullptr && (id & kDeadLetterBit) != 0) {
      const Group* group = FindGroup(id & ~kDeadLetterBit);
      if (group != nullptr) topic = AddTopic(DeadLetterTopic(group->config));
    }
    if (topic == nullptr || queue >= topic->queues.size()) return false;
    if (!options_.rules.queue_end) return true;
    topic->queues[queue].visible = topic->queues[queue].appended = static_cast<std::int64_t>(end);
    topic->visible_sum += static_cast<std::int64_t>(end);
    return true;
  }));
  return ScanAll(image, "e", 21, "epoch end", [&](absl::string_view key, absl::string_view value) {
    Topic* topic = FindTopic(key::Number64(key, 1));
    const std::uint32_t queue = key::Number32(key, 9);
    std::uint64_t end = 0;
    if (topic == nullptr || queue >= topic->queues.size() || !ReadNumber(value, end)) return false;
    auto& ends = topic->queues[queue].epoch_ends;
    ends.emplace_back(key::Number64(key, 13), static_cast<std::int64_t>(end));
    if (!options_.rules.epoch_list) ends.erase(ends.begin(), ends.end() - 1);
    return true;
  });
}

absl::Status Core::Impl::LoadCursors(const ImageReader& image) {
  const auto cursor_of = [&](absl::string_view key) -> Cursor* {
    Topic* topic = FindTopic(key::Number64(key, 1));
    Group* group = FindGroup(key::Number64(key, 13));
    const std::uint32_t queue = key::Number32(key, 9);
    if (topic == nullptr || group == nullptr || queue >= topic->queues.size()) return nullptr;
    return Subscribe(*group, *topic)->cursors[queue].get();
  };
  MR_RETURN_IF_ERROR(ScanAll(image, "c", 21, "cursor", [&](absl::string_view key, absl::string_view value) {
    Cursor* cursor = cursor_of(key);
    base::ByteReader reader(value);
    const CursorValue read = ReadCursorValue(reader);
    if (cursor == nullptr || !reader.ok() || read.next < read.start || read.start < 0) return false;
    cursor->start = read.start;
    cursor->passed = {read.acknowledged, read.rejected, read.dead_lettered, read.skipped, read.expired};
    cursor->subscription->passed += cursor->passed;
    Advance(*cursor, read.next);
    cursor->durable_next = cursor->next;
    cursor->must_record = false;
    return true;
  }));
  to_record_.clear();
  return ScanAll(image, "b", 29, "block", [&](absl::string_view key, absl::string_view value) {
    Cursor* cursor = cursor_of(key);
    return cursor != nullptr && LoadBlock(*cursor, static_cast<std::int64_t>(key::Number64(key, 21)), value);
  });
}

bool Core::Impl::LoadBlock(Cursor& cursor, std::int64_t index, absl::string_view value) {
  if (!DecodeBlock(value, block_value_) || index < 0 || index > kNever / kBlockEntries - 1) return false;
  std::size_t said = 0;
  for (std::uint64_t rest = block_value_.open; rest != 0; rest &= rest - 1) {
    const int position = std::countr_zero(rest);
    const std::int64_t offset = index * kBlockEntries + position;
    if (offset >= cursor.next) return false;
    Entry* entry = OpenEntry(cursor, offset, 0);
    if (said < block_value_.entries.size() && block_value_.entries[said].position == position) {
      LoadEntry(*entry, block_value_.entries[said++]);
    }
    if (entry->state != EntryState::kReady) continue;
    entry->since = now_;
    cursor.retries.PushBack(entry);
  }
  return true;
}

void Core::Impl::LoadEntry(Entry& entry, const EntryValue& value) {
  entry.attempt = value.attempt;
  entry.delivery = value.delivery;
  entry.suspend = value.suspend;
  entry.end = value.end;
  if (value.lease == LeaseKind::kNone) return;
  if (value.lease == LeaseKind::kDelay) return SetState(entry, EntryState::kWaiting);
  entry.written = true;
  entry.seen = true;
  entry.start = value.start;
  entry.renewed = value.renewed;
  entry.nacked = value.lease == LeaseKind::kNacked;
  entry.client = ClientNumber(value.client);
  FindClient(entry.client)->leases.PushBack(&entry);
  SetState(entry, entry.nacked ? EntryState::kWaiting : EntryState::kHeld);
}

}  // namespace millrace::core
