#include "model/tag_filter.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model/text.h"

namespace millrace::model {
namespace {

constexpr std::uint32_t kReplacement = 0xfffd;

// Java's String.trim(): everything up to the space.
absl::string_view Trim(absl::string_view text) {
  const auto is_space = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

std::uint32_t TagHash(absl::string_view tag) {
  std::uint32_t hash = 0;
  while (!tag.empty()) {
    std::optional<std::uint32_t> code = NextCodePoint(tag);
    if (!code) {
      code = kReplacement;
      tag.remove_prefix(1);
    }
    if (*code >= 0x10000) {
      hash = hash * 31 + (0xd800 + ((*code - 0x10000) >> 10));
      hash = hash * 31 + (0xdc00 + (*code & 0x3ff));
    } else {
      hash = hash * 31 + *code;
    }
  }
  return hash == 0 ? 1 : hash;
}

TagFilter::TagFilter(std::vector<std::string> tags) : tags_(std::move(tags)) {
  for (const std::string& tag : tags_) hashes_.push_back(TagHash(tag));
  std::sort(hashes_.begin(), hashes_.end());
}

Result<TagFilter> TagFilter::Parse(absl::string_view expression) {
  if (expression.empty() || Trim(expression) == "*") return All();
  std::vector<std::string> tags;
  for (const absl::string_view part : absl::StrSplit(expression, "||")) {
    if (const absl::string_view tag = Trim(part); !tag.empty()) tags.emplace_back(tag);
  }
  if (tags.empty()) {
    return Error{ErrorCode::kIllegalFilterExpression,
                 absl::StrCat("the tag expression ", Quoted(expression),
                              " holds no tag: write 'TagA || TagB', or '*' for every message")};
  }
  std::sort(tags.begin(), tags.end());
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
  return TagFilter(std::move(tags));
}

bool TagFilter::Matches(std::optional<absl::string_view> tag) const {
  if (matches_all()) return true;
  return tag && std::binary_search(tags_.begin(), tags_.end(), *tag);
}

bool TagFilter::MayMatch(std::uint32_t hash) const {
  return matches_all() || std::binary_search(hashes_.begin(), hashes_.end(), hash);
}

std::string TagFilter::text() const {
  if (matches_all()) return "*";
  std::string text;
  for (const std::string& tag : tags_) {
    // Beside a tag's own bar the separator would be read one byte too early or too late.
    const bool bars_meet = !text.empty() && (text.back() == '|' || tag.front() == '|');
    absl::StrAppend(&text, text.empty() ? "" : bars_meet ? " || " : "||", tag);
  }
  return text == "*" ? "*||" : text;  // the one tag "*" is not everything
}

}  // namespace millrace::model
