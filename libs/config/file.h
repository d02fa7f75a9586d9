#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace millrace::config {

// One value of a file. `name` is the whole path: nested maps are joined by dots.
struct FileEntry {
  std::string name;
  std::string text;  // items of a list are joined by commas
  int line = 0;
};

// Errors: kInvalidArgument with `path` and line.
absl::StatusOr<std::vector<FileEntry>> ParseYaml(absl::string_view path, absl::string_view content);

// Lines of name = value, as in RocketMQ's broker.conf; # starts a comment.
absl::StatusOr<std::vector<FileEntry>> ParseProperties(absl::string_view path, absl::string_view content);

// By the name's end: .conf and .properties, else YAML. kNotFound names the path.
absl::StatusOr<std::vector<FileEntry>> ReadConfigFile(const std::string& path);

}  // namespace millrace::config
