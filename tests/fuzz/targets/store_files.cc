// The small files of a store's directory, and the position of the state image.
//   input := kind, text         kind & 3: which file; kind & 4: a checksum line is appended
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "io/testing/memory_file_system.h"
#include "store/image_position.h"
#include "store/store_files.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

void WriteFile(io::FileSystem& fs, const std::string& path, absl::string_view content) {
  MR_CHECK(io::ReplaceFile(fs, path, content).ok());
}

bool IsRefusal(const absl::Status& status) { return absl::IsDataLoss(status) || absl::IsFailedPrecondition(status); }

void ReadIdentity(io::FileSystem& fs, const std::string& text) {
  WriteFile(fs, "store/identity", text);
  const auto identity = store::ReadIdentity(fs, "store");
  const store::Identity ours{.cluster = "DefaultCluster", .broker_set = "broker-a"};
  const auto opened = store::OpenStoreFiles(fs, "store", identity.ok() ? *identity : ours, "fuzz", "boot");
  MR_CHECK(opened.ok() == identity.ok());
  if (!identity.ok()) {
    MR_CHECK(IsRefusal(identity.status()) && IsRefusal(opened.status()));
    return;
  }
  MR_CHECK(identity->store_id.size() == 16 && !opened->fresh);
}

void ReadCheckpoint(io::FileSystem& fs, const std::string& text) {
  WriteFile(fs, "store/checkpoint", text);
  const auto checkpoint = store::ReadCheckpoint(fs, "store");
  if (!checkpoint.ok()) {
    MR_CHECK(IsRefusal(checkpoint.status()));
    return;
  }
  MR_CHECK(store::WriteCheckpoint(fs, "store", *checkpoint).ok());
  const auto again = store::ReadCheckpoint(fs, "store");
  MR_CHECK(again.ok() && again->flushed_end == checkpoint->flushed_end &&
           again->image_offset == checkpoint->image_offset && again->queues_applied == checkpoint->queues_applied);
}

// `abort` says how the last run ended; any content is an unclean stop.
void ReadAbort(io::FileSystem& fs, const std::string& text) {
  const store::Identity ours{.cluster = "DefaultCluster", .broker_set = "broker-a"};
  MR_CHECK(store::OpenStoreFiles(fs, "store", ours, "fuzz", "boot").ok());
  WriteFile(fs, "store/abort", text);
  const auto opened = store::OpenStoreFiles(fs, "store", ours, "fuzz", "boot");
  MR_CHECK(opened.ok() && opened->unclean);
}

void ReadPosition(absl::string_view bytes) {
  const auto position = store::DecodePosition(bytes);
  MR_CHECK(position.ok() == (bytes.size() == 12));
  if (position.ok()) MR_CHECK(store::EncodePosition(*position) == bytes);
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  absl::string_view input = millrace::fuzz::View(data, size);
  const std::uint8_t kind = millrace::fuzz::TakeByte(input);
  std::string text(input);
  if (kind & 4) absl::StrAppend(&text, absl::StrFormat("crc32c %08x\n", millrace::base::Crc32c(text)));
  millrace::io::testing::MemoryFileSystem fs;
  MR_CHECK(fs.CreateDirectories("store").ok());
  switch (kind & 3) {
    case 0: millrace::ReadIdentity(fs, text); break;
    case 1: millrace::ReadCheckpoint(fs, text); break;
    case 2: millrace::ReadAbort(fs, text); break;
    default: millrace::ReadPosition(input);
  }
  return 0;
}
