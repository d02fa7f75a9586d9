#include "model/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::model {
namespace {

using ::testing::HasSubstr;

TEST(TopicNameTest, LegalNamesPass) {
  for (const std::string& name : {std::string("orders"), std::string("a|b"), std::string("ns%Orders_1-x"),
                                  std::string("%DLQ%group"), std::string(127, 'x')}) {
    EXPECT_EQ(ValidateTopic(name), std::nullopt) << name;
  }
}

TEST(TopicNameTest, IllegalNamesAreRefusedWithTheReason) {
  const auto text = [](absl::string_view name) {
    const auto error = ValidateTopic(name);
    return error && error->code == ErrorCode::kIllegalTopic ? error->text : "passed";
  };
  EXPECT_THAT(text(""), HasSubstr("blank"));
  EXPECT_THAT(text("  "), HasSubstr("blank"));
  EXPECT_THAT(text(std::string(128, 'x')), HasSubstr("128 bytes, the limit is 127"));
  EXPECT_THAT(text("a.b"), HasSubstr("'a.b' has a character"));
  EXPECT_THAT(text("\xc3\xbc"), HasSubstr("character"));
  EXPECT_THAT(text("TBW102"), HasSubstr("reserved"));
  EXPECT_THAT(text("rmq_sys_anything"), HasSubstr("reserved"));
  EXPECT_THAT(text("%RETRY%group"), HasSubstr("retry topic"));
  EXPECT_THAT(text("%DLQ%"), HasSubstr("no consumer group"));
}

TEST(ConsumerGroupNameTest, LimitIs120AndTheSystemPrefixIsRefused) {
  EXPECT_EQ(ValidateConsumerGroup(std::string(120, 'g')), std::nullopt);
  EXPECT_EQ(ValidateConsumerGroup("DEFAULT_CONSUMER"), std::nullopt);
  for (const std::string& name :
       {std::string(121, 'g'), std::string("CID_RMQ_SYS_x"), std::string(" "), std::string("a b")}) {
    const auto error = ValidateConsumerGroup(name);
    ASSERT_TRUE(error) << name;
    EXPECT_EQ(error->code, ErrorCode::kIllegalConsumerGroup);
  }
}

TEST(LiteTopicNameTest, OnlyPlainCharactersUpTo64) {
  EXPECT_EQ(ValidateLiteTopic(std::string(64, 'l')), std::nullopt);
  for (const std::string& name : {std::string(65, 'l'), std::string(), std::string("a%b"), std::string("a|b")}) {
    const auto error = ValidateLiteTopic(name);
    ASSERT_TRUE(error) << name;
    EXPECT_EQ(error->code, ErrorCode::kIllegalLiteTopic);
  }
}

TEST(NamespaceTest, WrapPutsItBehindThePrefixAndUnwrapUndoesThat) {
  EXPECT_EQ(WrapNamespace("", "t"), "t");
  EXPECT_EQ(WrapNamespace("ns", "t"), "ns%t");
  EXPECT_EQ(WrapNamespace("ns", "%DLQ%g"), "%DLQ%ns%g");
  EXPECT_EQ(WrapNamespace("ns", "%RETRY%g"), "%RETRY%ns%g");
  EXPECT_EQ(UnwrapNamespace("ns%t"), (NameParts{"ns", "t"}));
  EXPECT_EQ(UnwrapNamespace("%DLQ%ns%g"), (NameParts{"ns", "%DLQ%g"}));
  EXPECT_EQ(UnwrapNamespace("%DLQ%g"), (NameParts{"", "%DLQ%g"}));
  EXPECT_EQ(UnwrapNamespace("t"), (NameParts{"", "t"}));
  EXPECT_EQ(UnwrapNamespace("t%"), (NameParts{"", "t%"}));
}

TEST(NamespaceTest, NamesThatCarryItAndSystemTopicsAreLeftAlone) {
  EXPECT_EQ(WrapNamespace("ns", "ns%t"), "ns%t");
  EXPECT_EQ(WrapNamespace("ns", "%DLQ%ns%g"), "%DLQ%ns%g");
  EXPECT_EQ(WrapNamespace("ns", "nst"), "ns%nst");
  EXPECT_EQ(WrapNamespace("ns", "TBW102"), "TBW102");
}

TEST(NamespaceTest, FullNamesAreCheckedPartByPartAndAsAWhole) {
  EXPECT_EQ(*FullTopicName("ns", "t"), "ns%t");
  EXPECT_EQ(*FullConsumerGroupName("", "g"), "g");
  EXPECT_EQ(FullTopicName("ns", "").error().code, ErrorCode::kIllegalTopic);
  EXPECT_EQ(FullTopicName("n%s", "t").error().code, ErrorCode::kIllegalTopic);
  EXPECT_EQ(FullTopicName("ns", "SELF_TEST_TOPIC").error().code, ErrorCode::kIllegalTopic);
  EXPECT_EQ(FullTopicName("ns", std::string(125, 'x')).error().code, ErrorCode::kIllegalTopic);
  EXPECT_EQ(FullConsumerGroupName("n s", "g").error().code, ErrorCode::kIllegalConsumerGroup);
}

TEST(DeadLetterTopicTest, NameAndGroupAreConvertible) {
  EXPECT_EQ(DeadLetterTopicOf("ns%g"), "%DLQ%ns%g");
  EXPECT_TRUE(IsDeadLetterTopic("%DLQ%ns%g"));
  EXPECT_FALSE(IsDeadLetterTopic("ns%g"));
  EXPECT_EQ(GroupOfDeadLetterTopic("%DLQ%ns%g"), "ns%g");
}

}  // namespace
}  // namespace millrace::model
