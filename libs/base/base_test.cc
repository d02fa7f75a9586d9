#include <string>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/digest.h"
#include "gtest/gtest.h"

namespace millrace::base {
namespace {

TEST(Crc32cTest, KnownVectorsAndContinuation) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), Crc32c("123456789"));
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
}

TEST(DigestTest, Md5IsTheOneThatSdksCheck) {
  const Md5Digest digest = Md5("hello");
  EXPECT_EQ(HexUpper({digest.data(), digest.size()}), "5D41402ABC4B2A76B9719D911017C592");
}

TEST(DigestTest, SipHashMatchesItsReferenceVector) {
  std::string key, data;
  for (char i = 0; i < 16; ++i) key.push_back(i);
  for (char i = 0; i < 15; ++i) data.push_back(i);
  EXPECT_EQ(SipHash(key, data), 0xa129ca6149be45e5u);
}

TEST(ByteReaderTest, ReadsWhatWasPut) {
  std::string bytes;
  Put<std::uint32_t>(bytes, 7);
  PutVarint(bytes, 1ull << 40);
  PutString(bytes, "text");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.Read<std::uint32_t>(), 7u);
  EXPECT_EQ(reader.ReadVarint(), 1ull << 40);
  EXPECT_EQ(reader.ReadString(), "text");
  EXPECT_TRUE(reader.AtEnd());
}

TEST(ByteReaderTest, NeverRunsPastTheEnd) {
  for (std::size_t cut = 0; cut < 5; ++cut) {
    std::string bytes;
    PutString(bytes, "text");
    ByteReader reader(absl::string_view(bytes).substr(0, cut));
    EXPECT_EQ(reader.ReadString(), "");
    EXPECT_FALSE(reader.ok());
    EXPECT_EQ(reader.Read<std::uint64_t>(), 0u);
  }
}

TEST(ByteReaderTest, AVarintOfMoreThan64BitsIsRefused) {
  const std::string bytes(11, '\xff');
  ByteReader reader(bytes);
  reader.ReadVarint();
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace millrace::base
