#include "store/store_files.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/digest.h"
#include "base/status.h"

namespace millrace::store {
namespace {

constexpr std::size_t kStoreIdBytes = 16;
constexpr absl::string_view kIdentityHead = "millrace identity 1";
constexpr absl::string_view kCheckpointHead = "millrace checkpoint 1";

std::string Path(const std::string& directory, absl::string_view name) { return absl::StrCat(directory, "/", name); }

struct Field {
  absl::string_view name;
  std::string value;
};

std::string FormatFields(absl::string_view head, const std::vector<Field>& fields) {
  std::string text = absl::StrCat(head, "\n");
  for (const Field& field : fields) absl::StrAppend(&text, field.name, " ", field.value, "\n");
  absl::StrAppend(&text, absl::StrFormat("crc32c %08x\n", base::Crc32c(text)));
  return text;
}

// Takes the line `name value` off the front of `text`.
bool TakeField(absl::string_view& text, Field& field) {
  const std::size_t end = text.find('\n');
  if (end == absl::string_view::npos) return false;
  const absl::string_view line = text.substr(0, end);
  if (line.size() <= field.name.size() || line.substr(0, field.name.size()) != field.name ||
      line[field.name.size()] != ' ') {
    return false;
  }
  field.value = std::string(line.substr(field.name.size() + 1));
  text.remove_prefix(end + 1);
  return true;
}

// Fills in the values of `fields` (names are given) from a file that FormatFields wrote.
absl::Status ParseFields(const std::string& path, absl::string_view head, absl::string_view text,
                         std::vector<Field>& fields) {
  absl::string_view rest = text;
  const std::size_t kind_end = head.rfind(' ') + 1;
  const std::string first_line = absl::StrCat(head, "\n");
  if (rest.substr(0, first_line.size()) != first_line) {
    const absl::string_view line = rest.substr(0, std::min(rest.find('\n'), rest.size()));
    if (line.substr(0, kind_end) == head.substr(0, kind_end)) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": it begins with '", line, "' and this release reads '",
                                                        head, "': start the release that wrote it, or a newer one"));
    }
    return absl::DataLossError(absl::StrCat(path, ": it must begin with '", head, "'; restore the file from a backup"));
  }
  rest.remove_prefix(first_line.size());
  bool complete = true;
  for (Field& field : fields) complete = complete && TakeField(rest, field);
  if (!complete || FormatFields(head, fields) != text) {
    return absl::DataLossError(absl::StrCat(path, ": it is damaged; restore the file from a backup"));
  }
  return absl::OkStatus();
}

bool IsOneLine(absl::string_view name) {
  return !name.empty() && std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20; });
}

std::string FormatIdentity(const Identity& identity) {
  return FormatFields(kIdentityHead, {{"store_id", absl::BytesToHexString(identity.store_id)},
                                      {"cluster", identity.cluster},
                                      {"broker_set", identity.broker_set},
                                      {"replica", absl::StrCat(identity.replica)}});
}

absl::StatusOr<Identity> ParseIdentity(const std::string& path, absl::string_view text) {
  std::vector<Field> fields = {{"store_id", ""}, {"cluster", ""}, {"broker_set", ""}, {"replica", ""}};
  MR_RETURN_IF_ERROR(ParseFields(path, kIdentityHead, text, fields));
  Identity identity{
      .store_id = absl::HexStringToBytes(fields[0].value), .cluster = fields[1].value, .broker_set = fields[2].value};
  if (!absl::SimpleAtoi(fields[3].value, &identity.replica) || identity.store_id.size() != kStoreIdBytes ||
      FormatIdentity(identity) != text) {
    return absl::DataLossError(absl::StrCat(path, ": a field has an impossible value"));
  }
  return identity;
}

absl::StatusOr<Checkpoint> ParseCheckpoint(const std::string& path, absl::string_view text) {
  std::vector<Field> fields = {{"flushed_end", ""}, {"image_offset", ""}, {"queues_applied", ""}};
  MR_RETURN_IF_ERROR(ParseFields(path, kCheckpointHead, text, fields));
  Checkpoint checkpoint;
  if (!absl::SimpleAtoi(fields[0].value, &checkpoint.flushed_end) ||
      !absl::SimpleAtoi(fields[1].value, &checkpoint.image_offset) ||
      !absl::SimpleAtoi(fields[2].value, &checkpoint.queues_applied)) {
    return absl::DataLossError(absl::StrCat(path, ": a field has an impossible value"));
  }
  return checkpoint;
}

std::string NameOf(const Identity& identity) {
  return absl::StrCat("cluster ", identity.cluster, ", broker set ", identity.broker_set, ", replica ",
                      identity.replica);
}

bool HasFiles(io::FileSystem& fs, const std::string& directory) {
  const absl::StatusOr<std::vector<std::string>> names = fs.List(directory);
  return names.ok() && !names->empty();
}

absl::StatusOr<Identity> MakeIdentity(io::FileSystem& fs, const std::string& directory, const Identity& expected) {
  if (HasFiles(fs, Path(directory, "commitlog"))) {
    return absl::DataLossError(absl::StrCat(Path(directory, "identity"),
                                            ": it is missing and there is a commit log, whose checksums need the store "
                                            "id in it; restore the file from a backup or from a replica of the set"));
  }
  if (!IsOneLine(expected.cluster) || !IsOneLine(expected.broker_set)) {
    return absl::InvalidArgumentError(
        "names of cluster and broker set must be one line, not empty, without control characters");
  }
  Identity identity = expected;
  if (identity.store_id.empty()) identity.store_id = base::RandomBytes(kStoreIdBytes);
  MR_CHECK(identity.store_id.size() == kStoreIdBytes);
  MR_RETURN_IF_ERROR(io::ReplaceFile(fs, Path(directory, "identity"), FormatIdentity(identity)));
  return identity;
}

absl::Status CheckIdentity(const std::string& directory, const Identity& found, const Identity& expected) {
  const bool same_names =
      found.cluster == expected.cluster && found.broker_set == expected.broker_set && found.replica == expected.replica;
  const bool same_store = expected.store_id.empty() || expected.store_id == found.store_id;
  if (same_names && same_store) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      directory, ": it belongs to ", NameOf(found), " (store id ", absl::BytesToHexString(found.store_id),
      ") and this broker is ", NameOf(expected),
      expected.store_id.empty() ? "" : absl::StrCat(" (store id ", absl::BytesToHexString(expected.store_id), ")"),
      ": mount the right volume or correct the configuration"));
}

absl::Status ReadAbort(io::FileSystem& fs, const std::string& path, absl::string_view boot_id, Opened& opened) {
  const absl::StatusOr<std::string> other_boot = io::ReadFile(fs, path);
  if (absl::IsNotFound(other_boot.status())) return absl::OkStatus();
  MR_RETURN_IF_ERROR(other_boot.status());
  opened.unclean = true;
  opened.power_cut = boot_id.empty() || *other_boot != boot_id;
  return absl::OkStatus();
}

}  // namespace

std::uint64_t StoreSeed(const Identity& identity) {
  MR_CHECK(identity.store_id.size() == kStoreIdBytes);
  return base::Load<std::uint64_t>(identity.store_id.data()) ^ base::Load<std::uint64_t>(identity.store_id.data() + 8);
}

absl::StatusOr<Opened> OpenStoreFiles(io::FileSystem& fs, const std::string& directory, const Identity& expected,
                                      absl::string_view holder, absl::string_view boot_id) {
  Opened opened;
  MR_RETURN_IF_ERROR(fs.CreateDirectories(directory));
  MR_ASSIGN_OR_RETURN(opened.lock, fs.Lock(Path(directory, "lock"), holder));

  const std::string identity_path = Path(directory, "identity");
  const absl::StatusOr<std::string> identity = io::ReadFile(fs, identity_path);
  opened.fresh = absl::IsNotFound(identity.status());
  if (opened.fresh) {
    MR_ASSIGN_OR_RETURN(opened.identity, MakeIdentity(fs, directory, expected));
  } else {
    MR_RETURN_IF_ERROR(identity.status());
    MR_ASSIGN_OR_RETURN(opened.identity, ParseIdentity(identity_path, *identity));
    MR_RETURN_IF_ERROR(CheckIdentity(directory, opened.identity, expected));
  }

  MR_ASSIGN_OR_RETURN(opened.checkpoint, ReadCheckpoint(fs, directory));

  const std::string abort_path = Path(directory, "abort");
  MR_RETURN_IF_ERROR(ReadAbort(fs, abort_path, boot_id, opened));
  if (!opened.unclean) {
    MR_RETURN_IF_ERROR(NoteBoot(fs, directory, boot_id));
  } else {
    // The start that wrote `abort` may have been killed before the name was durable. If a power cut took it now, the
    // next start would see a clean stop.
    MR_RETURN_IF_ERROR(fs.SyncDirectory(directory));
  }
  return opened;
}

absl::Status NoteBoot(io::FileSystem& fs, const std::string& directory, absl::string_view boot_id) {
  return io::ReplaceFile(fs, Path(directory, "abort"), boot_id);
}

absl::StatusOr<Identity> ReadIdentity(io::FileSystem& fs, const std::string& directory) {
  const std::string path = Path(directory, "identity");
  MR_ASSIGN_OR_RETURN(const std::string text, io::ReadFile(fs, path));
  return ParseIdentity(path, text);
}

absl::StatusOr<Checkpoint> ReadCheckpoint(io::FileSystem& fs, const std::string& directory) {
  const std::string path = Path(directory, "checkpoint");
  const absl::StatusOr<std::string> text = io::ReadFile(fs, path);
  if (absl::IsNotFound(text.status())) return Checkpoint{};
  MR_RETURN_IF_ERROR(text.status());
  return ParseCheckpoint(path, *text);
}

absl::Status WriteCheckpoint(io::FileSystem& fs, const std::string& directory, const Checkpoint& checkpoint) {
  return io::ReplaceFile(fs, Path(directory, "checkpoint"),
                         FormatFields(kCheckpointHead, {{"flushed_end", absl::StrCat(checkpoint.flushed_end)},
                                                        {"image_offset", absl::StrCat(checkpoint.image_offset)},
                                                        {"queues_applied", absl::StrCat(checkpoint.queues_applied)}}));
}

absl::Status CloseStoreFiles(io::FileSystem& fs, const std::string& directory, const Checkpoint& checkpoint) {
  MR_RETURN_IF_ERROR(WriteCheckpoint(fs, directory, checkpoint));
  MR_RETURN_IF_ERROR(fs.Remove(Path(directory, "abort")));
  return fs.SyncDirectory(directory);
}

std::string BootId() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace millrace::store
