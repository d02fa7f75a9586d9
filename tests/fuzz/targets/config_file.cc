// Configuration files and command lines.
//   input := kind, content      kind 0: YAML, 1: properties, 2: a command line, one argument a line
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "config/file.h"
#include "config/loader.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

struct Keys {
  std::string name = "a";
  bool on = false;
  int count = 3;
  absl::Duration interval = absl::Seconds(1);
  config::ByteSize size{1 << 20};

  static void Declare(config::Schema<Keys>& keys) {
    keys.Add("name", &Keys::name).Doc("A name.").OneOf({"a", "b"});
    keys.Add("part.on", &Keys::on).Doc("A switch.");
    keys.Add("part.count", &Keys::count).Doc("A number.").Range(1, 8).RocketmqName("partCount");
    keys.Add("part.interval", &Keys::interval).Doc("A time.").RocketmqName("partInterval", absl::Milliseconds(1));
    keys.Add("part.size", &Keys::size).Doc("A size.");
  }
};

void Lines(absl::string_view content) {
  const std::vector<std::string> args = absl::StrSplit(content, '\n');
  for (const std::string& arg : args) {
    if (absl::StartsWith(arg, "--config")) return;  // it would read a file
  }
  Keys keys;
  config::Loader loader("fuzz", "Reads flags.");
  loader.Add(keys);
  const absl::Status status = loader.Load(args, {});
  if (status.ok() && !loader.help()) {
    MR_CHECK(keys.count >= 1 && keys.count <= 8 && (keys.name == "a" || keys.name == "b"));
  }
  MR_CHECK(status.ok() || !status.message().empty());
  MR_CHECK(config::ParseYaml("printed", loader.ConfigText()).ok());
}

void File(const absl::StatusOr<std::vector<config::FileEntry>>& entries) {
  if (!entries.ok()) MR_CHECK(absl::IsInvalidArgument(entries.status()));
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  absl::string_view input = millrace::fuzz::View(data, size);
  switch (millrace::fuzz::TakeByte(input) % 3) {
    case 0: millrace::File(millrace::config::ParseYaml("fuzz.yaml", input)); break;
    case 1: millrace::File(millrace::config::ParseProperties("fuzz.conf", input)); break;
    default: millrace::Lines(input);
  }
  return 0;
}
