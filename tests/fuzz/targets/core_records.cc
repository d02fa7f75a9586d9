// Payloads of the core's records, values of the state image, topics and groups.
//   input := kind, bytes
#include <string>

#include "core/metadata.h"
#include "core/records.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

void Block(absl::string_view bytes) {
  core::BlockValue block;
  if (!core::DecodeBlock(bytes, block)) return;
  std::string first;
  core::Encode(block, first);
  core::BlockValue again;
  MR_CHECK(core::DecodeBlock(first, again));
  MR_CHECK(again.open == block.open && again.entries.size() == block.entries.size());
  std::string second;
  core::Encode(again, second);
  MR_CHECK(first == second);
}

void Progress(absl::string_view bytes) {
  base::ByteReader reader(bytes);
  const core::ProgressHead head = core::ReadProgressHead(reader);
  std::int64_t previous = -1;
  for (std::uint64_t i = 0; i < head.blocks && reader.ok(); ++i) {
    const core::ProgressBlock block = core::ReadProgressBlock(reader, previous);
    Block(block.value);
    previous = block.index;
  }
}

void DeadLetter(absl::string_view bytes) {
  std::uint32_t prefix_bytes = 0;
  const auto origin = core::DecodeDeadLetterOrigin(bytes, prefix_bytes);
  if (!origin.ok()) {
    MR_CHECK(absl::IsDataLoss(origin.status()));
    return;
  }
  MR_CHECK(prefix_bytes <= bytes.size());
}

void Heads(absl::string_view bytes) {
  base::ByteReader reader(bytes);
  const core::MetadataHead head = core::ReadMetadataHead(reader);
  const core::ClusterValue cluster = core::ReadClusterValue(reader);
  if (!reader.ok()) return;
  std::string out;
  core::Encode(head, out);
  core::Encode(cluster, out);
  base::ByteReader again(out);
  MR_CHECK(core::ReadMetadataHead(again).version == head.version);
  MR_CHECK(core::ReadClusterValue(again).mac_key == cluster.mac_key && again.AtEnd());
}

// What decodes has one form: encoding it and decoding that changes nothing any more.
template <typename T, auto decode>
void Check(absl::string_view bytes) {
  const auto decoded = decode(bytes);
  if (!decoded) return;
  std::string first, second;
  core::Encode(*decoded, first);
  const auto again = decode(first);
  MR_CHECK(again.has_value());
  core::Encode(*again, second);
  MR_CHECK(first == second);
}

using Checker = void (*)(absl::string_view);
constexpr Checker kCheckers[] = {
    Block,
    Progress,
    DeadLetter,
    Heads,
    Check<core::TopicConfig, core::DecodeTopic>,
    Check<core::GroupConfig, core::DecodeGroup>,
    Check<core::GroupProgress, core::DecodeProgress>,
};

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  absl::string_view input = millrace::fuzz::View(data, size);
  const std::uint8_t kind = millrace::fuzz::TakeByte(input);
  millrace::kCheckers[kind % std::size(millrace::kCheckers)](input);
  return 0;
}
