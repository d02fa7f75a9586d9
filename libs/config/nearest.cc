#include "config/nearest.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"

namespace millrace::config {

int EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i) + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const int replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string NearestName(absl::string_view text, const std::vector<std::string>& names) {
  std::string best;
  int best_distance = static_cast<int>(std::max<std::size_t>(2, text.size() / 3)) + 1;
  const std::string lower = absl::AsciiStrToLower(text);
  for (const std::string& name : names) {
    const int distance = EditDistance(lower, absl::AsciiStrToLower(name));
    if (distance < best_distance) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

}  // namespace millrace::config
