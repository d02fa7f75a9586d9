#include "config/loader.h"

#include <unistd.h>

#include <iostream>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "config/nearest.h"
#include "config/render.h"

namespace millrace::config {
namespace {

constexpr absl::string_view kVariablePrefix = "MILLRACE_";
constexpr absl::string_view kFileVariable = "MILLRACE_CONFIG";

std::vector<std::string> Names(const KeyTable& table) {
  std::vector<std::string> names = {"config", "help", "print-config", "check-config"};
  for (const auto& key : table.keys) {
    names.push_back(key->name);
    if (!key->rocketmq_name.empty()) names.push_back(key->rocketmq_name);
  }
  return names;
}

}  // namespace

Loader::Loader(absl::string_view program, absl::string_view purpose) : program_(program), purpose_(purpose) {}

// Later sources win: each one overwrites what stands before it.
absl::Status Loader::Load(const std::vector<std::string>& args, const std::vector<std::string>& environment) {
  for (const std::string& variable : environment) {
    const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(variable, absl::MaxSplits('=', 1));
    if (halves.first == kFileVariable) file_ = std::string(halves.second);
  }
  for (std::size_t i = 0; i < args.size(); ++i) {  // the file comes first, wherever its flag stands
    if (args[i] == "--config" && i + 1 < args.size()) file_ = args[i + 1];
    if (absl::StartsWith(args[i], "--config=")) file_ = args[i].substr(9);
  }
  if (!file_.empty()) ReadFile();
  ReadVariables(environment);
  ReadFlags(args);
  if (mistakes_.empty()) {
    for (const auto& rule : table_.rules) {
      if (const absl::Status status = rule(); !status.ok()) mistakes_.emplace_back(status.message());
    }
  }
  if (mistakes_.empty() || help_) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(mistakes_, "\n"));
}

void Loader::ReadFile() {
  const absl::StatusOr<std::vector<FileEntry>> entries = ReadConfigFile(file_);
  if (!entries.ok()) {
    mistakes_.emplace_back(entries.status().message());
    return;
  }
  std::set<const Key*> seen;
  for (const FileEntry& entry : *entries) {
    const std::string where = absl::StrCat(file_, " line ", entry.line);
    bool as_rocketmq = false;
    Key* key = table_.Find(entry.name, as_rocketmq);
    if (key == nullptr) {
      Unknown(entry.name, where);
    } else if (!seen.insert(key).second) {
      mistakes_.push_back(absl::StrCat(where, ": ", key->name, " is given twice; keep one"));
    } else {
      Apply(*key, as_rocketmq, entry.text, Source::kFile, where);
    }
  }
}

void Loader::ReadVariables(const std::vector<std::string>& environment) {
  for (const std::string& variable : environment) {
    const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(variable, absl::MaxSplits('=', 1));
    const absl::string_view name = halves.first;
    if (!absl::StartsWith(name, kVariablePrefix) || name == kFileVariable) continue;
    if (Key* key = table_.FindVariable(name)) {
      Apply(*key, false, halves.second, Source::kVariable, absl::StrCat("variable ", name));
    } else {
      // Kubernetes injects MILLRACE_PROXY_PORT=tcp://... for a Service called millrace-proxy.
      warnings_.push_back(absl::StrCat("the environment variable ", name, " names no configuration key"));
    }
  }
}

void Loader::ReadFlags(const std::vector<std::string>& args) {
  for (std::size_t at = 0; at < args.size();) at = ReadFlag(args, at);
}

// Reads args[at] and its value; returns where the next one stands.
std::size_t Loader::ReadFlag(const std::vector<std::string>& args, std::size_t at) {
  absl::string_view name = args[at++];
  if (!absl::ConsumePrefix(&name, "--")) {
    if (name == "-h") {
      help_ = true;
    } else {
      mistakes_.push_back(absl::StrCat("\"", name, "\" is not a flag; flags begin with --, see --help"));
    }
    return at;
  }
  const std::size_t equals = name.find('=');
  const bool has_value = equals != absl::string_view::npos;
  std::string value(has_value ? name.substr(equals + 1) : "");
  name = name.substr(0, equals);
  if (bool* request = Request(name)) {
    *request = true;
    return at;
  }
  const std::string where = absl::StrCat("flag --", name);
  bool as_rocketmq = false;
  Key* key = table_.Find(name, as_rocketmq);
  if (key == nullptr && name != "config") {
    Unknown(name, where);
    // Its value is not another mistake.
    return at + (!has_value && at < args.size() && !absl::StartsWith(args[at], "--") ? 1 : 0);
  }
  if (!has_value && key != nullptr && key->is_switch) {
    const bool follows = at < args.size() && (args[at] == "true" || args[at] == "false");
    value = follows ? args[at] : "true";
    at += follows ? 1 : 0;
  } else if (!has_value) {
    if (at == args.size()) {
      mistakes_.push_back(absl::StrCat(where, " has no value; write --", name, " VALUE"));
      return at;
    }
    value = args[at++];
  }
  if (key != nullptr) Apply(*key, as_rocketmq, value, Source::kFlag, where);
  return at;
}

void Loader::Apply(Key& key, bool as_rocketmq, absl::string_view text, Source source, absl::string_view where) {
  const absl::Status status = as_rocketmq ? key.set_as_rocketmq(text) : key.set(text);
  if (!status.ok()) {
    mistakes_.push_back(absl::StrCat(where, ": ", key.name, ": ",
                                     key.secret ? "its value" : absl::StrCat("\"", text, "\""), " ", status.message()));
    return;
  }
  sources_[&key] = source;
}

void Loader::Unknown(absl::string_view name, absl::string_view where) {
  for (const auto& [old_name, new_name] : table_.renamed) {
    if (old_name == name) {
      mistakes_.push_back(absl::StrCat(where, ": ", name, " is called ", new_name, " now; rename it"));
      return;
    }
  }
  const std::string nearest = NearestName(name, Names(table_));
  mistakes_.push_back(absl::StrCat(where, ": ", name, " is not a configuration key",
                                   nearest.empty() ? "; see --help" : absl::StrCat("; did you mean ", nearest, "?")));
}

bool* Loader::Request(absl::string_view flag) {
  if (flag == "help") return &help_;
  if (flag == "print-config") return &print_config_;
  if (flag == "check-config") return &check_config_;
  if (flag == "print-documentation") return &print_documentation_;
  return nullptr;
}

std::string Loader::DocumentationText() const { return RenderChapter(program_, purpose_, table_); }

std::string Loader::HelpText() const { return RenderHelp(program_, purpose_, table_); }

std::string Loader::ConfigText() const {
  std::string text;
  for (const auto& key : table_.keys) {
    const auto found = sources_.find(key.get());
    const Source source = found == sources_.end() ? Source::kDefault : found->second;
    absl::StrAppend(&text, RenderYamlLine(*key), "  # ",
                    source == Source::kDefault ? "default"
                    : source == Source::kFile  ? "file"
                    : source == Source::kFlag  ? "flag"
                                               : "environment",
                    "\n");
  }
  return text;
}

int LoadOrExit(Loader& loader, int argc, char** argv) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) environment.emplace_back(*variable);
  const absl::Status status = loader.Load(std::vector<std::string>(argv + 1, argv + argc), environment);
  if (!status.ok()) {
    std::cerr << "configuration: "
              << absl::StrJoin(absl::StrSplit(std::string(status.message()), '\n'), "\nconfiguration: ") << "\n";
    return 2;
  }
  if (loader.help()) {
    std::cout << loader.HelpText();
    return 0;
  }
  if (loader.print_documentation()) {
    std::cout << loader.DocumentationText();
    return 0;
  }
  if (loader.print_config()) std::cout << loader.ConfigText();
  if (loader.check_config()) std::cout << "the configuration is valid\n";
  return loader.print_config() || loader.check_config() ? 0 : -1;
}

}  // namespace millrace::config
