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

template <typename Mac>
std::string HexOf(const Mac& mac) {
  return HexUpper({mac.data(), mac.size()});
}

// Vectors of RFC 2202 and RFC 4231.
TEST(DigestTest, HmacMatchesItsReferenceVectors) {
  const std::string data = "what do ya want for nothing?", long_key(80, '\xaa');
  EXPECT_EQ(HexOf(HmacSha1("Jefe", data)), "EFFCDF6AE5EB2FA2D27416D5F184DF9C259A7C79");
  EXPECT_EQ(HexOf(HmacSha1(std::string(20, '\x0b'), "Hi There")), "B617318655057264E28BC0B6FB378C8EF146BE00");
  EXPECT_EQ(HexOf(HmacSha1(long_key, "Test Using Larger Than Block-Size Key - Hash Key First")),
            "AA4AE5E15272D00E95705637CE8A3B55ED402112");
  EXPECT_EQ(HexOf(HmacSha1("", "")), "FBDB1D1B18AA6C08324B7D64B71FB76370690E1D");  // and no key of the call before
  EXPECT_EQ(HexOf(HmacSha256("Jefe", data)), "5BDCC146BF60754E6A042426089575C75A003F089D2739839DEC58B964EC3843");
  EXPECT_EQ(HexOf(HmacSha256(std::string(20, '\x0b'), "Hi There")),
            "B0344C61D8DB38535CA8AFCEAF0BF12B881DC200C9833DA726E9376C2E32CFF7");
}

TEST(DigestTest, ComparesAllBytes) {
  EXPECT_TRUE(EqualInConstantTime("", ""));
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime("abc", "xbc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "ab"));
}

TEST(DigestTest, HexIsReadInEitherCase) {
  EXPECT_EQ(FromHex("00fFA9"), std::string("\0\xff\xa9", 3));
  EXPECT_EQ(FromHex(""), "");
  EXPECT_EQ(FromHex("0"), std::nullopt);
  EXPECT_EQ(FromHex("0g"), std::nullopt);
  EXPECT_EQ(FromHex("g0"), std::nullopt);
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
