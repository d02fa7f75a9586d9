#include "model/text.h"

#include <gtest/gtest.h>

namespace millrace::model {
namespace {

TEST(Utf8Test, WellFormedTextPasses) {
  EXPECT_TRUE(IsUtf8(""));
  EXPECT_TRUE(IsUtf8("a plain sentence of more than eight bytes"));
  EXPECT_TRUE(
      IsUtf8("gr\xc3\xbc\xc3\x9f"
             "e \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x90\x87 \xf4\x8f\xbf\xbf"));
}

TEST(Utf8Test, TruncatedOverlongSurrogateAndTooLargeAreRefused) {
  for (const char* text : {"\x80", "\xc3", "ab\xe4\xbd", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
                           "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "12345678\xc3("}) {
    EXPECT_FALSE(IsUtf8(text));
  }
}

TEST(Utf8Test, NextCodePointLeavesTheTextWhenItIsMalformed) {
  absl::string_view text = "\xe4\xbd\xa0\xc3";
  EXPECT_EQ(NextCodePoint(text), 0x4f60u);
  EXPECT_EQ(NextCodePoint(text), std::nullopt);
  EXPECT_EQ(text.size(), 1u);
}

TEST(ControlCharacterTest, BothRangesAreFoundAndTheirNeighboursAreNot) {
  for (const std::string& text : {std::string("a\0b", 3), std::string("\x1f"), std::string("\x7f"),
                                  std::string("\xc2\x80"), std::string("x\xc2\x9f")}) {
    EXPECT_TRUE(HasControlCharacter(text));
  }
  for (const char* text : {"", " ", "~", "\xc2\xa0", "\xc3\x80", "\xe2\x80\x80"}) {
    EXPECT_FALSE(HasControlCharacter(text)) << text;
  }
}

TEST(BlankTest, JavasWhitespaceIsBlankAndNoBreakSpacesAreNot) {
  for (const char* text : {"", " \t\r\n\x1c", "\xe3\x80\x80", "\xe2\x80\x83 "}) EXPECT_TRUE(IsBlank(text));
  for (const char* text : {"a", " a ", "\xc2\xa0", "\xe2\x80\x87", "\xe2\x80\xaf"}) EXPECT_FALSE(IsBlank(text));
}

TEST(QuotedTest, LongAndUnprintableTextIsMadeReadable) {
  EXPECT_EQ(Quoted("a\nb"), "'a\\nb'");
  EXPECT_EQ(Quoted(std::string(65, 'x')), "'" + std::string(64, 'x') + "...'");
}

}  // namespace
}  // namespace millrace::model
