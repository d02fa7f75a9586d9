#include "core/event_file.h"

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/crc32c.h"

namespace millrace::core {
namespace {

constexpr absl::string_view kMagic = "MREV";
constexpr std::uint32_t kVersion = 2;

absl::Status Bad(absl::string_view what, std::size_t position) {
  return absl::DataLossError(absl::StrCat("event file: ", what, " at byte ", position));
}

}  // namespace

void AppendEventFileHeader(std::string& out) {
  out.append(kMagic.data(), kMagic.size());
  base::Put(out, kVersion);
}

void AppendEventBatch(const EventBatch& batch, std::string& out) {
  std::string turn;
  base::Put(turn, batch.time_millis);
  base::Put<std::uint32_t>(turn, batch.inbox_emptied ? 1 : 0);
  base::Put(turn, static_cast<std::uint32_t>(batch.count));
  base::Put(turn, static_cast<std::uint32_t>(batch.events.size()));
  turn += batch.events;
  turn += batch.text;
  base::Put(out, static_cast<std::uint32_t>(turn.size()));
  base::Put(out, base::Crc32c(turn));
  out += turn;
}

absl::StatusOr<bool> EventFileReader::Next(EventBatch& batch) {
  if (!header_read_) {
    base::ByteReader header(rest_);
    if (header.ReadBytes(kMagic.size()) != kMagic) return Bad("no event file", 0);
    const auto version = header.Read<std::uint32_t>();
    if (version != kVersion) return Bad(absl::StrCat("version ", version, ", this program reads ", kVersion), 4);
    rest_ = header.rest();
    header_read_ = true;
  }
  if (rest_.empty()) return false;
  base::ByteReader reader(rest_);
  const auto size = reader.Read<std::uint32_t>();
  const auto checksum = reader.Read<std::uint32_t>();
  const absl::string_view bytes = reader.ReadBytes(size);
  if (!reader.ok()) return Bad("a turn is cut off", position());
  if (base::Crc32c(bytes) != checksum) return Bad("a turn is damaged", position());
  base::ByteReader turn(bytes);
  batch.Clear();
  batch.time_millis = turn.Read<std::int64_t>();
  batch.inbox_emptied = (turn.Read<std::uint32_t>() & 1) != 0;
  batch.count = turn.Read<std::uint32_t>();
  const absl::string_view events = turn.ReadBytes(turn.Read<std::uint32_t>());
  if (!turn.ok()) return Bad("a turn does not decode", position());
  batch.events.assign(events.data(), events.size());
  batch.text.assign(turn.rest().data(), turn.rest().size());
  rest_ = reader.rest();
  return true;
}

}  // namespace millrace::core
