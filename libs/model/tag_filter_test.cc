#include "model/tag_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::model {
namespace {

using ::testing::ElementsAre;

TagFilter Filter(absl::string_view expression) { return *TagFilter::Parse(expression); }

TEST(TagHashTest, IsJavasStringHash) {
  EXPECT_EQ(TagHash("TagA"), 0x0027a807u);
  EXPECT_EQ(TagHash("Aa"), TagHash("BB"));
  EXPECT_EQ(TagHash("\xc3\xbc"), 0xfcu);                           // one UTF-16 unit
  EXPECT_EQ(TagHash("\xf0\x9f\x90\x87"), 0xd83du * 31 + 0xdc07u);  // a surrogate pair
  EXPECT_EQ(TagHash("polygenelubricants"), 0x80000000u);           // overflows to the smallest int
}

TEST(TagHashTest, ZeroIsLeftForMessagesWithoutATag) {
  EXPECT_EQ(TagHash("f5a5a608"), 1u);  // Java: 0
}

TEST(TagFilterTest, EmptyAndStarMatchEverything) {
  for (const char* expression : {"", "*", " * "}) {
    const TagFilter filter = Filter(expression);
    EXPECT_TRUE(filter.matches_all());
    EXPECT_TRUE(filter.Matches(std::nullopt));
    EXPECT_TRUE(filter.Matches("any"));
    EXPECT_TRUE(filter.MayMatch(0));
    EXPECT_EQ(filter.text(), "*");
  }
}

TEST(TagFilterTest, AListMatchesItsTagsExactly) {
  const TagFilter filter = Filter(" b ||A|| b||");
  EXPECT_THAT(filter.tags(), ElementsAre("A", "b"));
  EXPECT_TRUE(filter.Matches("A"));
  EXPECT_TRUE(filter.Matches("b"));
  EXPECT_FALSE(filter.Matches("a"));
  EXPECT_FALSE(filter.Matches(""));
  EXPECT_FALSE(filter.Matches(std::nullopt));
  EXPECT_EQ(filter.text(), "A||b");
  EXPECT_THAT(Filter(filter.text()).tags(), ElementsAre("A", "b"));
}

TEST(TagFilterTest, TheNormalisedTextReadsBackTheSame) {
  for (const char* expression : {"A| || B", "A || |B", "0| || |*|T", "*||", "* || B"}) {
    const TagFilter filter = Filter(expression);
    EXPECT_EQ(Filter(filter.text()).tags(), filter.tags()) << expression;
  }
}

TEST(TagFilterTest, TheHashOnlyExcludes) {
  const TagFilter filter = Filter("Aa");
  EXPECT_TRUE(filter.MayMatch(TagHash("BB")));
  EXPECT_FALSE(filter.Matches("BB"));
  EXPECT_FALSE(filter.MayMatch(TagHash("C")));
  EXPECT_FALSE(filter.MayMatch(0));
}

TEST(TagFilterTest, AListWithoutATagIsIllegal) {
  for (const char* expression : {"||", " || ", "||||", "  "}) {
    const auto filter = TagFilter::Parse(expression);
    ASSERT_FALSE(filter.ok()) << expression;
    EXPECT_EQ(filter.error().code, ErrorCode::kIllegalFilterExpression);
  }
}

}  // namespace
}  // namespace millrace::model
