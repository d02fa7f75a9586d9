#include "store/queue_page.h"

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"

namespace millrace::store {
namespace {

std::uint32_t PageCrc(const PageAddress& address, absl::string_view page) {
  std::string where;
  base::Put<std::uint64_t>(where, address.key.topic_id);
  base::Put<std::uint32_t>(where, address.key.queue);
  base::Put<std::int64_t>(where, address.first);
  const std::uint32_t crc = base::Crc32c(page.substr(0, kPageCrcAt), base::Crc32c(where));
  return base::Crc32c(page.substr(kPageGenerationAt), crc);
}

void Seal(std::string& bytes) { base::Put<std::uint32_t>(bytes, base::Crc32c(bytes)); }

bool Sealed(absl::string_view bytes) {
  if (bytes.size() < 4) return false;
  const absl::string_view content = bytes.substr(0, bytes.size() - 4);
  return base::Load<std::uint32_t>(bytes.data() + content.size()) == base::Crc32c(content);
}

}  // namespace

void QueuePage::Add(const QueueEntry& entry) {
  MR_CHECK(!full() && entry.bytes > 0);
  if (entries.empty()) first_store_time_millis = entry.store_time_millis;
  base::Put<std::uint64_t>(entries, entry.physical_offset);
  base::Put<std::uint32_t>(entries, entry.bytes);
  base::Put<std::uint64_t>(entries, entry.tag_field);
}

QueueEntry QueuePage::At(std::int64_t index) const {
  MR_CHECK(index >= 0 && index < size());
  const char* at = entries.data() + index * kQueueEntryBytes;
  return {.physical_offset = base::Load<std::uint64_t>(at),
          .bytes = base::Load<std::uint32_t>(at + kEntryBytesAt),
          .tag_field = base::Load<std::uint64_t>(at + kEntryTagAt),
          .store_time_millis = first_store_time_millis};
}

std::string EncodePage(const PageAddress& address, const QueuePage& page) {
  std::string bytes = page.entries;
  bytes.resize(kPageBytes);
  base::Store<std::int64_t>(bytes.data() + kPageTimeAt, page.first_store_time_millis);
  base::Store<std::uint32_t>(bytes.data() + kPageGenerationAt, address.generation);
  base::Store<std::uint32_t>(bytes.data() + kPageCrcAt, PageCrc(address, bytes));
  return bytes;
}

absl::StatusOr<QueuePage> DecodePage(const PageAddress& address, absl::string_view bytes) {
  if (bytes.size() != kPageBytes) {
    return absl::DataLossError(absl::StrCat("the page has ", bytes.size(), " of ", kPageBytes, " bytes"));
  }
  const auto generation = base::Load<std::uint32_t>(bytes.data() + kPageGenerationAt);
  if (base::Load<std::uint32_t>(bytes.data() + kPageCrcAt) != PageCrc(address, bytes)) {
    return absl::DataLossError("the page's checksum does not match");
  }
  if (generation != address.generation) {
    return absl::DataLossError(absl::StrCat("the page is of generation ", generation, ", not ", address.generation));
  }
  std::int64_t used = 0;
  while (used < kPageEntries &&
         base::Load<std::uint32_t>(bytes.data() + used * kQueueEntryBytes + kEntryBytesAt) != 0) {
    ++used;
  }
  return QueuePage{.entries = std::string(bytes.substr(0, used * kQueueEntryBytes)),
                   .first_store_time_millis = base::Load<std::int64_t>(bytes.data() + kPageTimeAt)};
}

std::string EncodeApplied(const QueueApplied& applied) {
  std::string bytes;
  base::Put<std::uint32_t>(bytes, kAppliedMagic);
  base::Put<std::uint32_t>(bytes, kQueueFormatVersion);
  base::Put<std::uint64_t>(bytes, applied.applied);
  base::Put<std::uint64_t>(bytes, applied.removed_below);
  base::Put<std::uint32_t>(bytes, applied.generation);
  Seal(bytes);
  return bytes;
}

absl::StatusOr<QueueApplied> DecodeApplied(absl::string_view bytes) {
  base::ByteReader reader(bytes);
  if (!Sealed(bytes) || reader.Read<std::uint32_t>() != kAppliedMagic) {
    return absl::DataLossError("the file `applied` does not validate");
  }
  const auto version = reader.Read<std::uint32_t>();
  if (version != kQueueFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat("consume queues have format version ", version,
                                                      ", this program reads ", kQueueFormatVersion,
                                                      ": use the release that wrote them"));
  }
  QueueApplied applied;
  applied.applied = reader.Read<std::uint64_t>();
  applied.removed_below = reader.Read<std::uint64_t>();
  applied.generation = reader.Read<std::uint32_t>();
  if (!reader.ok()) return absl::DataLossError("the file `applied` is too short");
  return applied;
}

std::string EncodeWriting(const QueueWriting& writing) {
  std::string bytes;
  base::Put<std::uint32_t>(bytes, kWritingMagic);
  base::Put<std::uint64_t>(bytes, writing.applied);
  base::Put<std::uint32_t>(bytes, static_cast<std::uint32_t>(writing.marks.size()));
  for (const QueueMark& mark : writing.marks) {
    base::Put<std::uint64_t>(bytes, mark.key.topic_id);
    base::Put<std::uint32_t>(bytes, mark.key.queue);
    base::Put<std::int64_t>(bytes, mark.maximum);
  }
  Seal(bytes);
  return bytes;
}

absl::StatusOr<QueueWriting> DecodeWriting(absl::string_view bytes) {
  base::ByteReader reader(bytes);
  if (!Sealed(bytes) || reader.Read<std::uint32_t>() != kWritingMagic) {
    return absl::DataLossError("the file `writing` does not validate");
  }
  QueueWriting writing;
  writing.applied = reader.Read<std::uint64_t>();
  for (auto left = reader.Read<std::uint32_t>(); left > 0 && reader.ok(); --left) {
    QueueMark mark;
    mark.key.topic_id = reader.Read<std::uint64_t>();
    mark.key.queue = reader.Read<std::uint32_t>();
    mark.maximum = reader.Read<std::int64_t>();
    writing.marks.push_back(mark);
  }
  if (!reader.ok()) return absl::DataLossError("the file `writing` is too short");
  return writing;
}

}  // namespace millrace::store
