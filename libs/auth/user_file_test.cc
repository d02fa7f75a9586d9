#include "auth/user_file.h"

#include "absl/strings/str_cat.h"
#include "auth/testing/fake_call.h"
#include "base/check.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/testing/memory_file_system.h"

namespace millrace::auth {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kGood[] = "users:\n  - accessKey: orders\n    secretKey: 8f3b7a1c9d8e7f6a\n";

std::string ErrorOf(absl::string_view yaml) {
  const auto users = Users::Parse("users.yaml", yaml);
  EXPECT_EQ(users.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(users.status().message());
}

TEST(UsersTest, ReadsWhatAFileHas) {
  const auto users = Users::Parse("users.yaml",
                                  "# comment\nusers:\n- {accessKey: a, secretKey: \"quoted: #8\"}\n"
                                  "- secretKey: 12345678\n  accessKey: \"007\"\n");
  ASSERT_TRUE(users.ok()) << users.status();
  EXPECT_EQ(users->size(), 2u);
  EXPECT_EQ(*users->SecretOf("a"), "quoted: #8");
  EXPECT_EQ(*users->SecretOf("007"), "12345678");
  EXPECT_EQ(users->SecretOf("7"), nullptr);
}

TEST(UsersTest, EveryMistakeIsNamedWithItsLine) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("one list called users"));
  EXPECT_THAT(ErrorOf("accounts: []"), HasSubstr("one list called users"));
  EXPECT_THAT(ErrorOf("users: []"), HasSubstr("line 1: there is no user, so nobody could call"));
  EXPECT_THAT(ErrorOf("users: [text]"), HasSubstr("a user is a map"));
  EXPECT_THAT(ErrorOf("users:\n- accessKey: a\n"), HasSubstr("line 2: the secretKey of a has 0 bytes"));
  EXPECT_THAT(ErrorOf("users:\n- secretKey: 12345678\n"), HasSubstr("line 2: accessKey must have"));
  EXPECT_THAT(ErrorOf("users:\n- {accessKey: a/b, secretKey: 12345678}"), HasSubstr("accessKey must have"));
  EXPECT_THAT(ErrorOf("users:\n- {accessKey: a, secretKey: [1]}"), HasSubstr("secretKey must be a text"));
  EXPECT_THAT(ErrorOf("users:\n- {accessKey: a, accessKey: b}"), HasSubstr("twice"));
  EXPECT_THAT(ErrorOf(absl::StrCat(kGood, "  - accessKey: orders\n    secretKey: 12345678\n")),
              HasSubstr("line 4: the accessKey orders is given twice"));
  EXPECT_THAT(ErrorOf(absl::StrCat(kGood, "    topicPerms: [orders=PUB]\n")),
              AllOf(HasSubstr("line 4: \"topicPerms\" is no field of a user"), HasSubstr("not offered yet")));
}

TEST(UsersTest, NoErrorHasASecret) {
  for (const char* yaml :
       {"users:\n- {accessKey: a, secretKey: hidden}", "users:\n- accessKey: a\n  secretKey: 'hidden",
        "users:\n- secretKey: hidden-hidden\n", "users: hidden", "hidden", "- hidden: *hidden"}) {
    EXPECT_THAT(ErrorOf(yaml), Not(HasSubstr("hidden"))) << yaml;
  }
}

class UserFileTest : public testing::Test {
 protected:
  UserFileTest() { MR_CHECK(fs_.CreateDirectories("d").ok()); }

  void Write(absl::string_view content) { ASSERT_TRUE(io::ReplaceFile(fs_, "d/users.yaml", content).ok()); }
  // Signed by this user?
  bool LetsIn(const UserFile& users, const std::string& access_key, const std::string& secret_key) const {
    testing_support::FakeCall call("/a/b");
    call.Add(ClientSigner(access_key, secret_key, clock_).HeadersFor("/a/b"));
    return !users.Check(call).has_value();
  }

  io::testing::MemoryFileSystem fs_;
  base::ManualClock clock_;
};

TEST_F(UserFileTest, AChangeHoldsFromTheNextCallAndABadOneChangesNothing) {
  Write(kGood);
  const auto users = UserFile::Open("d/users.yaml", fs_, 0);
  ASSERT_TRUE(users.ok()) << users.status();
  EXPECT_TRUE(LetsIn(**users, "orders", "8f3b7a1c9d8e7f6a"));
  EXPECT_FALSE(LetsIn(**users, "billing", "12345678"));

  Write("users:\n  - accessKey: billing\n    secretKey: 12345678\n");
  (*users)->Poll();
  EXPECT_FALSE(LetsIn(**users, "orders", "8f3b7a1c9d8e7f6a"));
  EXPECT_TRUE(LetsIn(**users, "billing", "12345678"));
  EXPECT_EQ((*users)->users(), 1u);

  Write("users: broken");
  (*users)->Poll();
  EXPECT_TRUE(LetsIn(**users, "billing", "12345678"));
  EXPECT_FALSE((*users)->file().good);
  EXPECT_EQ((*users)->file().failed, 1u);
}

TEST_F(UserFileTest, RefusalsAreCountedByCause) {
  Write(kGood);
  const auto users = UserFile::Open("d/users.yaml", fs_, 0);
  ASSERT_TRUE(users.ok()) << users.status();
  EXPECT_FALSE(LetsIn(**users, "nobody", "8f3b7a1c9d8e7f6a"));
  EXPECT_FALSE(LetsIn(**users, "orders", "another"));
  EXPECT_FALSE(LetsIn(**users, "orders", "and another"));
  EXPECT_TRUE((*users)->Check(testing_support::FakeCall("/a/b")).has_value());
  EXPECT_EQ((*users)->refused(RefusalCause::kUnknownAccessKey), 1u);
  EXPECT_EQ((*users)->refused(RefusalCause::kWrongSignature), 2u);
  EXPECT_EQ((*users)->refused(RefusalCause::kMissing), 1u);
  EXPECT_EQ((*users)->refused(RefusalCause::kMalformed), 0u);
}

TEST_F(UserFileTest, AFileThatIsNotThereIsAnError) {
  EXPECT_EQ(UserFile::Open("d/users.yaml", fs_, 0).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace millrace::auth
