#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace millrace::config {

// Least number of insertions, deletions and replacements that turn one text into the other.
int EditDistance(absl::string_view a, absl::string_view b);

// The name that `text` was probably meant to be; empty when none is near.
std::string NearestName(absl::string_view text, const std::vector<std::string>& names);

}  // namespace millrace::config
