#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace millrace::broker {

// Which rows of one kind a page shows under their names, and counters that stay true when that changes: a shown
// counter and the one of `other` never go back, no message is counted in both, and together they are the sum over all
// rows. For that a row that takes the place of another goes on from the value that was shown there, and one that comes
// out of `other` begins at 0: what Prometheus makes of them, rates, is right.
// One scrape: Begin, Offer each row, Choose, then Show or Hide each row. Not thread-safe.
class RowBudget {
 public:
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  using Counters = std::vector<std::uint64_t>;

  // `counters`: how many a row has.
  explicit RowBudget(std::size_t counters) : counters_(counters), other_(counters), carried_(counters) {}

  void Begin();
  // `bytes`: what it takes on the page. Rows with the highest score are shown, of equal ones those with more `weight`,
  // then those with the smaller key.
  void Offer(Key key, double score, std::uint64_t weight, std::size_t bytes);
  // Returns the bytes that the chosen rows take, at most `bytes_max`.
  std::size_t Choose(std::size_t bytes_max);

  bool chosen(Key key) const { return shown_.contains(key); }
  std::size_t shown() const { return shown_.size(); }
  std::size_t dropped() const { return offers_.size() - chosen_; }

  // A chosen row: turns its counters into those to show. `in_other`: what Hide set in an earlier scrape.
  void Show(Key key, Counters& counters, bool& in_other);
  // One that is not.
  void Hide(const Counters& counters, bool& in_other);
  // After all rows: the counters of `other`. `gone`: the last counters of rows that have gone while they were in it.
  Counters Other(const Counters& gone) const;
  // Something is, or was, in it.
  bool has_other() const { return had_other_; }

 private:
  struct Offered {
    double score;
    std::uint64_t weight;
    std::size_t bytes;
    Key key;
  };
  struct Shown {
    bool fresh = true;
    bool offered = false;
    std::vector<std::int64_t> offset;  // shown = counted + offset
    Counters counted;                  // at the last scrape
  };

  std::size_t counters_;
  std::vector<Offered> offers_;
  std::size_t chosen_ = 0;
  bool had_other_ = false;
  absl::flat_hash_map<Key, Shown> shown_;
  Counters hidden_;                    // sum over this scrape's hidden rows
  std::vector<std::int64_t> other_;    // shown in `other` beyond the hidden and the gone ones
  std::vector<std::int64_t> carried_;  // shown by rows whose place nobody has taken yet
};

}  // namespace millrace::broker
