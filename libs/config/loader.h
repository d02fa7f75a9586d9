#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "config/file.h"
#include "config/schema.h"

// Fills the structs of one process from a file, the environment and the command line: flag before variable before file
// before default.
namespace millrace::config {

// Where a process came to be told a value.
enum class Source { kDefault, kFile, kVariable, kFlag };

// Lifetime. Structs given to Add outlive the loader. Single thread.
class Loader {
 public:
  // What --help begins with.
  Loader(absl::string_view program, absl::string_view purpose);

  template <typename T>
  void Add(T& target) {
    DeclareKeys(target, table_);
  }

  // `args` without the program's name, `environment` as NAME=value. Every mistake is found, one a line.
  // Errors: kInvalidArgument; some values may be set
  absl::Status Load(const std::vector<std::string>& args, const std::vector<std::string>& environment);

  bool help() const { return help_; }
  bool print_config() const { return print_config_; }
  bool check_config() const { return check_config_; }
  bool print_documentation() const { return print_documentation_; }

  // Things to log once logging is set up: unknown MILLRACE_ variables.
  const std::vector<std::string>& warnings() const { return warnings_; }

  std::string HelpText() const;
  std::string DocumentationText() const;  // RenderChapter
  // The values now, as YAML that can be used as a file; secrets are masked.
  std::string ConfigText() const;
  const KeyTable& table() const { return table_; }

 private:
  void ReadFlags(const std::vector<std::string>& args);
  std::size_t ReadFlag(const std::vector<std::string>& args, std::size_t at);
  bool* Request(absl::string_view flag);  // what a flag without a value asks for; null: another flag
  void ReadVariables(const std::vector<std::string>& environment);
  void ReadFile();
  void Apply(Key& key, bool as_rocketmq, absl::string_view text, Source source, absl::string_view where);
  void Unknown(absl::string_view name, absl::string_view where);

  const std::string program_, purpose_;
  KeyTable table_;
  std::string file_;
  bool help_ = false, print_config_ = false, check_config_ = false, print_documentation_ = false;
  std::map<const Key*, Source> sources_;
  std::vector<std::string> mistakes_, warnings_;
};

// For main(): loads from argc, argv and environ, serves --help, --print-config, --check-config and
// --print-documentation (for docs/configuration.md). Returns the exit code if the process is done (0, or 2 after a
// mistake, which is on standard error), -1 to go on.
int LoadOrExit(Loader& loader, int argc, char** argv);

}  // namespace millrace::config
