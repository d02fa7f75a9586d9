#include "config/render.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace millrace::config {
namespace {

constexpr std::size_t kHelpColumns = 100;

// Words of `text` in lines that are indented by `indent`.
std::string Wrapped(absl::string_view text, std::size_t indent) {
  std::string out;
  std::string line;
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    if (!line.empty() && indent + line.size() + 1 + word.size() > kHelpColumns) {
      absl::StrAppend(&out, std::string(indent, ' '), line, "\n");
      line.clear();
    }
    absl::StrAppend(&line, line.empty() ? "" : " ", word);
  }
  return absl::StrCat(out, std::string(indent, ' '), line, "\n");
}

std::string Facts(const Key& key) {
  std::vector<std::string> facts = {std::string(key.type)};
  if (!key.limits.empty()) facts.push_back(key.limits);
  facts.push_back(key.default_text.empty() ? "not set unless given" : absl::StrCat("default ", key.default_text));
  if (!key.example.empty()) facts.push_back(absl::StrCat("for example ", key.example));
  if (!key.rocketmq_name.empty()) facts.push_back(absl::StrCat("RocketMQ: ", key.rocketmq_name));
  return absl::StrJoin(facts, "; ");
}

std::string Cell(absl::string_view text) { return absl::StrReplaceAll(text, {{"|", "\\|"}}); }

std::string Code(absl::string_view text) { return text.empty() ? "" : absl::StrCat("`", text, "`"); }

std::string DocumentationRow(const Key& key) {
  std::vector<std::string> notes = {key.doc};
  if (!key.limits.empty()) notes.push_back(absl::StrCat("Allowed: ", key.limits, "."));
  if (!key.example.empty()) notes.push_back(absl::StrCat("Example: ", Code(key.example), "."));
  if (!key.rocketmq_name.empty()) notes.push_back(absl::StrCat("RocketMQ: ", Code(key.rocketmq_name), "."));
  return absl::StrCat("| ", Code(key.name), " | ", Code(key.Variable()), " | ", key.type, " | ",
                      Cell(Code(key.default_text)), " | ", Cell(absl::StrJoin(notes, " ")), " |\n");
}

}  // namespace

std::string RenderHelp(absl::string_view program, absl::string_view purpose, const KeyTable& table) {
  std::string text = absl::StrCat(program, ": ", purpose, "\n\nUsage: ", program, " [--KEY VALUE | --KEY=VALUE]...\n\n",
                                  "Every key is a flag, an environment variable (MILLRACE_, then the key in capitals "
                                  "with _) and a\npath in the YAML file. A flag beats a variable, a variable the file, "
                                  "the file the default.\n\n"
                                  "  --config FILE\n      YAML, or name = value lines if it ends in .conf (variable "
                                  "MILLRACE_CONFIG)\n  --check-config\n      check the configuration and exit\n"
                                  "  --print-config\n      print the values that would be used, as YAML, and exit\n"
                                  "  --help\n\nKeys:\n");
  for (const auto& key : table.keys) {
    absl::StrAppend(&text, "\n  ", key->Flag(), "\n", Wrapped(key->doc, 6),
                    Wrapped(absl::StrCat("(", Facts(*key), ")"), 6));
  }
  return text;
}

std::string RenderYamlLine(const Key& key) {
  const std::string escaped = absl::StrReplaceAll(key.Shown(), {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}});
  // A mask is no value, and an empty text is none for most keys: both would not be accepted back.
  const bool comment = key.secret || (escaped.empty() && key.default_text.empty());
  return absl::StrCat(comment ? "# " : "", key.name, ": \"", escaped, "\"");
}

std::string RenderChapter(absl::string_view program, absl::string_view purpose, const KeyTable& table) {
  std::string text = absl::StrCat("## ", program, "\n\n", program, ": ", purpose, "\n\n",
                                  "| key | variable | type | default | meaning |\n|---|---|---|---|---|\n");
  for (const auto& key : table.keys) absl::StrAppend(&text, DocumentationRow(*key));
  return text;
}

}  // namespace millrace::config
