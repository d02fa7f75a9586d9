#include "auth/client_signature.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace millrace::auth {
namespace {

using testing::HasSubstr;
using testing::Not;

// HMAC-SHA1 of the date under the secret key, made with `openssl dgst -sha1 -hmac`.
constexpr char kDate[] = "20261124T205000Z";
constexpr char kSecretKey[] = "8f3b7a1c9d8e7f6a";
constexpr char kSignature[] = "679ff9a1064c92e5186b558b4045ae438da7b74a";

class ClientSignatureTest : public testing::Test {
 protected:
  static Users MakeUsers() {
    auto users = Users::Parse("users.yaml", absl::StrCat("users:\n  - accessKey: orders\n    secretKey: ", kSecretKey,
                                                         "\n  - accessKey: billing\n    secretKey: another-secret\n"));
    EXPECT_TRUE(users.ok()) << users.status();
    return *std::move(users);
  }
  static std::string Header(absl::string_view credential, absl::string_view signature) {
    return absl::StrCat("MQv2-HMAC-SHA1 Credential=", credential,
                        ", SignedHeaders=x-mq-date-time, Signature=", signature);
  }
  // "": let in.
  std::string Judge(absl::string_view authorization, absl::string_view date = kDate) const {
    const auto refusal = JudgeClientSignature(users_, authorization, date);
    if (!refusal) return "";
    text_ = refusal->text;
    const absl::string_view name = NameOf(refusal->cause);
    return std::string(name.data(), name.size());
  }

  const Users users_ = MakeUsers();
  mutable std::string text_;
};

TEST_F(ClientSignatureTest, C_010_EitherCaseAndAnyCredentialOfAnSdkIsAccepted) {
  for (const char* credential : {"orders", "orders/", "orders//Rocketmq", "orders/cn-hangzhou/RocketMQ"}) {
    EXPECT_EQ(Judge(Header(credential, kSignature)), "") << credential;
    EXPECT_EQ(Judge(Header(credential, absl::AsciiStrToUpper(kSignature))), "") << credential;
  }
  EXPECT_EQ(Judge(absl::StrCat("MQv2-HMAC-SHA1 Credential=orders,SignedHeaders=x-mq-date-time,Signature=", kSignature)),
            "");
}

TEST_F(ClientSignatureTest, C_011_TheDateIsTextOfAnyFormatAndAge) {
  EXPECT_EQ(Judge(Header("orders", "afce99e352257007e8e8c48c2957232aa6b98692"), "1999-12-31T23:59:59.123+08:00"), "");
  EXPECT_EQ(Judge(Header("orders", "d0db79fc7ca3d38b875239b09c1a99ea893b970b"), "not a date"), "");
  EXPECT_EQ(Judge(Header("orders", kSignature), "20261124T205001Z"), "wrong_signature");
}

TEST_F(ClientSignatureTest, AWrongSignatureIsRefusedWhereverItDiffers) {
  for (std::size_t i = 0; i < sizeof kSignature - 1; ++i) {
    std::string wrong = kSignature;
    wrong[i] = wrong[i] == '0' ? '1' : '0';
    EXPECT_EQ(Judge(Header("orders", wrong)), "wrong_signature") << i;
  }
  for (const char* wrong : {"", "00", "zz"}) EXPECT_EQ(Judge(Header("orders", wrong)), "wrong_signature");
  EXPECT_EQ(Judge(Header("orders", absl::StrCat(kSignature, "00"))), "wrong_signature");
  EXPECT_EQ(Judge("MQv2-HMAC-SHA1 Credential=orders"), "wrong_signature");
  EXPECT_EQ(Judge(Header("billing", kSignature)), "wrong_signature");
  EXPECT_THAT(text_, HasSubstr("\"billing\""));
  EXPECT_THAT(text_, Not(HasSubstr(kSignature)));
}

TEST_F(ClientSignatureTest, AnUnknownAccessKeyIsNamedAndEscaped) {
  EXPECT_EQ(Judge(Header("orders2", kSignature)), "unknown_access_key");
  EXPECT_THAT(text_, HasSubstr("\"orders2\""));
  EXPECT_EQ(Judge(Header("Orders", kSignature)), "unknown_access_key");
  EXPECT_EQ(Judge(Header("a\n\xff", kSignature)), "unknown_access_key");
  EXPECT_THAT(text_, HasSubstr("\"a\\n\\xff\""));
  EXPECT_EQ(Judge(Header(std::string(10'000, 'a'), kSignature)), "unknown_access_key");
  EXPECT_LT(text_.size(), 300u);
}

TEST_F(ClientSignatureTest, WhatIsMissingIsNamed) {
  EXPECT_EQ(Judge(""), "missing");
  EXPECT_THAT(text_, HasSubstr("authorization is missing"));
  EXPECT_EQ(Judge(Header("", "")), "missing");  // what one SDK sends without credentials
  EXPECT_THAT(text_, HasSubstr("the access key is empty"));
  EXPECT_EQ(Judge(Header("orders", kSignature), ""), "missing");
  EXPECT_THAT(text_, HasSubstr("x-mq-date-time"));
}

TEST_F(ClientSignatureTest, OtherFormsAreMalformed) {
  for (const char* text : {"nonsense", "MQv2-HMAC-SHA1", "MQv2-HMAC-SHA1 ", "MQv2-HMAC-SHA1 Credential",
                           "MQv2-HMAC-SHA1 Credential=orders, Signature", "Bearer Credential=orders, Signature=00",
                           "MQv2-HMAC-SHA1 Signature=00", "MQv2-HMAC-SHA1Credential=orders"}) {
    EXPECT_EQ(Judge(text), "malformed") << text;
  }
}

TEST_F(ClientSignatureTest, WhatTheSignerWritesIsLetIn) {
  const base::ManualClock clock(1'795'553'400'000);
  const CallSigner::Headers headers = ClientSigner("orders", kSecretKey, clock).HeadersFor("/any");
  ASSERT_EQ(headers.size(), 2u);
  EXPECT_EQ(headers[0], std::make_pair(std::string("x-mq-date-time"), std::string("20261124T205000Z")));
  EXPECT_EQ(headers[1].first, "authorization");
  EXPECT_EQ(Judge(headers[1].second, headers[0].second), "");
}

}  // namespace
}  // namespace millrace::auth
