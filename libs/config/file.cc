#include "config/file.h"

#include <yaml-cpp/depthguard.h>
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

// Keys have a few parts, and a file a few dozen of them. An alias stands for all that its anchor holds, so a small file
// can mean very much, or contain itself.
constexpr int kDepthMax = 8;
constexpr int kNodesMax = 10'000;

class Flattener {
 public:
  explicit Flattener(absl::string_view path) : path_(path) {}

  absl::Status Add(const std::string& name, const YAML::Node& node, int depth) {
    const int line = node.Mark().line + 1;
    MR_RETURN_IF_ERROR(Count(line));
    if (depth > kDepthMax) {
      return At(path_, line,
                absl::StrCat(name, ": this is nested deeper than ", kDepthMax,
                             " levels; write the key as it is in the documentation, without aliases"));
    }
    if (node.IsNull()) return absl::OkStatus();  // "key:" leaves the default
    if (node.IsScalar()) {
      entries_.push_back({name, node.Scalar(), line});
      return absl::OkStatus();
    }
    return node.IsSequence() ? AddList(name, node) : AddMap(name, node, depth);
  }

  std::vector<FileEntry> Take() { return std::move(entries_); }

 private:
  absl::Status Count(int line) {
    if (++nodes_ <= kNodesMax) return absl::OkStatus();
    return At(path_, line,
              absl::StrCat("the file has more than ", kNodesMax,
                           " values, each alias (*name) counted with all that it stands for; write every key once, "
                           "without aliases"));
  }

  absl::Status AddList(const std::string& name, const YAML::Node& node) {
    std::vector<std::string> items;
    for (const YAML::Node& item : node) {
      MR_RETURN_IF_ERROR(Count(item.Mark().line + 1));
      if (!item.IsScalar()) {
        return At(path_, item.Mark().line + 1, absl::StrCat(name, ": items of a list are plain values here"));
      }
      items.push_back(item.Scalar());
    }
    entries_.push_back({name, absl::StrJoin(items, ","), node.Mark().line + 1});
    return absl::OkStatus();
  }

  absl::Status AddMap(const std::string& name, const YAML::Node& node, int depth) {
    for (const auto& pair : node) {
      if (!pair.first.IsScalar()) return At(path_, node.Mark().line + 1, "a key must be plain text");
      const std::string& key = pair.first.Scalar();
      MR_RETURN_IF_ERROR(Add(name.empty() ? key : absl::StrCat(name, ".", key), pair.second, depth + 1));
    }
    return absl::OkStatus();
  }

  const absl::string_view path_;
  int nodes_ = 0;
  std::vector<FileEntry> entries_;
};

}  // namespace

absl::StatusOr<std::vector<FileEntry>> ParseYaml(absl::string_view path, absl::string_view content) {
  Flattener flattener(path);
  try {  // yaml-cpp throws; nothing of that leaves this function
    const YAML::Node root = YAML::Load(std::string(content));
    if (root.IsNull()) return std::vector<FileEntry>();
    if (!root.IsMap()) return At(path, 1, "the file must be a map of keys; write for example \"log.level: info\"");
    MR_RETURN_IF_ERROR(flattener.Add("", root, 0));
  } catch (const YAML::DeepRecursion& error) {
    return At(path, error.mark.line + 1, "this is nested too deeply; write the keys as they are in the documentation");
  } catch (const YAML::Exception& error) {
    return At(path, error.mark.line + 1, absl::StrCat("this is not YAML: ", error.msg));
  }
  return flattener.Take();
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
