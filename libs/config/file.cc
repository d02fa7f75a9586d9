#include "config/file.h"

#include <yaml-cpp/yaml.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace millrace::config {
namespace {

absl::Status At(absl::string_view path, int line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, " line ", line, ": ", what));
}

absl::Status Flatten(absl::string_view path, const std::string& name, const YAML::Node& node,
                     std::vector<FileEntry>& entries) {
  const int line = node.Mark().line + 1;
  if (node.IsNull()) return absl::OkStatus();  // "key:" leaves the default
  if (node.IsScalar()) {
    entries.push_back({name, node.Scalar(), line});
    return absl::OkStatus();
  }
  if (node.IsSequence()) {
    std::vector<std::string> items;
    for (const YAML::Node& item : node) {
      if (!item.IsScalar()) {
        return At(path, item.Mark().line + 1, absl::StrCat(name, ": items of a list are plain values here"));
      }
      items.push_back(item.Scalar());
    }
    entries.push_back({name, absl::StrJoin(items, ","), line});
    return absl::OkStatus();
  }
  for (const auto& pair : node) {
    if (!pair.first.IsScalar()) return At(path, line, "a key must be plain text");
    const std::string& key = pair.first.Scalar();
    MR_RETURN_IF_ERROR(Flatten(path, name.empty() ? key : absl::StrCat(name, ".", key), pair.second, entries));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<FileEntry>> ParseYaml(absl::string_view path, absl::string_view content) {
  std::vector<FileEntry> entries;
  try {  // yaml-cpp throws; nothing of that leaves this function
    const YAML::Node root = YAML::Load(std::string(content));
    if (root.IsNull()) return entries;
    if (!root.IsMap()) return At(path, 1, "the file must be a map of keys; write for example \"log.level: info\"");
    MR_RETURN_IF_ERROR(Flatten(path, "", root, entries));
  } catch (const YAML::Exception& error) {
    return At(path, error.mark.line + 1, absl::StrCat("this is not YAML: ", error.msg));
  }
  return entries;
}

absl::StatusOr<std::vector<FileEntry>> ParseProperties(absl::string_view path, absl::string_view content) {
  std::vector<FileEntry> entries;
  int line = 0;
  for (const absl::string_view raw : absl::StrSplit(content, '\n')) {
    ++line;
    const absl::string_view text = absl::StripAsciiWhitespace(raw);
    if (text.empty() || text.front() == '#') continue;
    const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(text, absl::MaxSplits('=', 1));
    if (!absl::StrContains(text, '=')) return At(path, line, "write name = value");
    entries.push_back({std::string(absl::StripAsciiWhitespace(halves.first)),
                       std::string(absl::StripAsciiWhitespace(halves.second)), line});
  }
  return entries;
}

absl::StatusOr<std::vector<FileEntry>> ReadConfigFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(
        absl::StrCat("the configuration file ", path, " cannot be read; give another one with --config"));
  }
  std::ostringstream content;
  content << file.rdbuf();
  if (absl::EndsWith(path, ".conf") || absl::EndsWith(path, ".properties")) {
    return ParseProperties(path, content.str());
  }
  return ParseYaml(path, content.str());
}

}  // namespace millrace::config
