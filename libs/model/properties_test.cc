#include "model/properties.h"

#include <gtest/gtest.h>

namespace millrace::model {
namespace {

TEST(ReservedPropertyKeyTest, KeysOfTheServerAreReservedAndOthersAreNot) {
  for (const char* key : {"TAGS", "KEYS", "UNIQ_KEY", "__CRC32#", "__BORNHOST", "1ST_POP_TIME", "_SYS_MSG_PRIORITY_",
                          "__LITE_TOPIC", "WAIT", "TTL"}) {
    EXPECT_TRUE(IsReservedPropertyKey(key)) << key;
  }
  for (const char* key : {"", "tags", "TAG", "TAGSS", "color", "zzz", "__CRC32"}) {
    EXPECT_FALSE(IsReservedPropertyKey(key)) << key;
  }
}

TEST(ReservedPropertyKeyTest, KeysThatRocketMqLetsThroughAndMisreadsAreReserved) {
  for (const char* key : {"__SHARDINGKEY", "TRACE_CONTEXT", "CHECK_IMMUNITY_TIME_IN_SECONDS", "__transactionId__",
                          "TRANSACTION_CHECK_TIMES", "INNER_NUM", "INNER_MULTI_DISPATCH"}) {
    EXPECT_TRUE(IsReservedPropertyKey(key)) << key;
  }
}

}  // namespace
}  // namespace millrace::model
