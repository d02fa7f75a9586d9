#include "services/broker/row_budget.h"

#include <algorithm>

namespace millrace::broker {
namespace {

constexpr double kStay = 1.25;  // a row that is shown stays until another is this much more important

}  // namespace

void RowBudget::Begin() {
  offers_.clear();
  chosen_ = 0;
  hidden_.assign(counters_, 0);
  for (auto& [key, row] : shown_) row.offered = false;
}

void RowBudget::Offer(Key key, double score, std::uint64_t weight, std::size_t bytes) {
  const auto row = shown_.find(key);
  if (row != shown_.end()) {
    row->second.offered = true;
    score *= kStay;
  }
  offers_.push_back({score, weight, bytes, key});
}

std::size_t RowBudget::Choose(std::size_t bytes_max) {
  std::sort(offers_.begin(), offers_.end(), [](const Offered& a, const Offered& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.weight != b.weight) return a.weight > b.weight;
    return a.key < b.key;
  });
  std::size_t bytes = 0;
  while (chosen_ < offers_.size() && bytes + offers_[chosen_].bytes <= bytes_max) bytes += offers_[chosen_++].bytes;
  // Deleted ones take what they have shown with them.
  absl::erase_if(shown_, [](const auto& row) { return !row.second.offered; });
  for (std::size_t i = chosen_; i < offers_.size(); ++i) {
    const auto row = shown_.find(offers_[i].key);
    if (row == shown_.end()) continue;
    for (std::size_t c = 0; c < counters_; ++c) {
      const auto counted = static_cast<std::int64_t>(row->second.counted[c]);
      carried_[c] += counted + row->second.offset[c];
      other_[c] -= counted;
    }
    shown_.erase(row);
  }
  for (std::size_t i = 0; i < chosen_; ++i) shown_.try_emplace(offers_[i].key);
  return bytes;
}

void RowBudget::Show(Key key, Counters& counters, bool& in_other) {
  Shown& row = shown_.at(key);
  if (row.fresh) {
    row.fresh = false;
    row.offset.assign(counters_, 0);
    const bool takes_over =
        std::any_of(carried_.begin(), carried_.end(), [](std::int64_t value) { return value != 0; });
    for (std::size_t c = 0; c < counters_; ++c) {
      const auto counted = static_cast<std::int64_t>(counters[c]);
      if (in_other) {
        row.offset[c] = -counted;
        other_[c] += counted;
      }
      if (takes_over) row.offset[c] += carried_[c];
    }
    if (takes_over) carried_.assign(counters_, 0);
    in_other = false;
  }
  row.counted = counters;
  for (std::size_t c = 0; c < counters_; ++c) counters[c] += static_cast<std::uint64_t>(row.offset[c]);
}

void RowBudget::Hide(const Counters& counters, bool& in_other) {
  for (std::size_t c = 0; c < counters_; ++c) hidden_[c] += counters[c];
  in_other = true;
  had_other_ = true;
}

RowBudget::Counters RowBudget::Other(const Counters& gone) const {
  Counters other = hidden_;
  for (std::size_t c = 0; c < counters_; ++c) other[c] += gone[c] + static_cast<std::uint64_t>(other_[c]);
  return other;
}

}  // namespace millrace::broker
