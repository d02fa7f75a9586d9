#include "services/proxy/record_hashes.h"

#include "gtest/gtest.h"

namespace millrace::proxy {
namespace {

// docs/formats/link.md, "Hashes"
TEST(RecordHashesTest, GoldenValues) {
  EXPECT_EQ(GroupHash("123456789"), 0xe3069283u);
  EXPECT_EQ(GroupHash("order-4711"), 0x45536987u);
  EXPECT_EQ(KeyHash(""), 0xcbf29ce484222325u);
  EXPECT_EQ(KeyHash("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(KeyHash("order-4711"), 0xe1e9ab68fdda093du);
  EXPECT_EQ(KeyHash("\xff"), 0xaf64724c8602eb6eu);
}

TEST(RecordHashesTest, OnlyNoGroupIsZero) {
  EXPECT_EQ(GroupHash(""), 0u);
  EXPECT_EQ(GroupHash("QllXbpPD"), 1u);  // its CRC-32C is 0
}

}  // namespace
}  // namespace millrace::proxy
