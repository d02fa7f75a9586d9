#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "model/error.h"

namespace millrace::model {

// The 32-bit code of a tag in consume queues: Java's String.hashCode of it, except that 0 stands for "no tag", so a
// text that hashes to 0 gets 1. Equal codes do not mean equal tags: whoever delivers compares the text.
std::uint32_t TagHash(absl::string_view tag);

// Which tags a receiver wants: everything, or a list. Immutable, so any thread may use it.
class TagFilter {
 public:
  static TagFilter All() { return TagFilter({}); }

  // An expression of a client ("A || B", "*", "") or the text() of another filter.
  // kIllegalFilterExpression: the list has no tag in it.
  static Result<TagFilter> Parse(absl::string_view expression);

  bool matches_all() const { return tags_.empty(); }
  // A message without a tag (nullopt) matches only a filter that matches everything.
  bool Matches(std::optional<absl::string_view> tag) const;
  // False: no tag with this code can match. `hash` 0 is a message without a tag.
  bool MayMatch(std::uint32_t hash) const;

  // Sorted, without duplicates; empty when everything matches.
  const std::vector<std::string>& tags() const { return tags_; }
  // The normalised form that travels on links and is compared: "A||B", "*" for everything.
  std::string text() const;

 private:
  explicit TagFilter(std::vector<std::string> tags);

  std::vector<std::string> tags_;
  std::vector<std::uint32_t> hashes_;  // sorted
};

}  // namespace millrace::model
