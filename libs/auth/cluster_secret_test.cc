#include "auth/cluster_secret.h"

#include "absl/strings/str_cat.h"
#include "auth/testing/fake_call.h"
#include "base/check.h"
#include "base/digest.h"
#include "config/loader.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/testing/memory_file_system.h"

namespace millrace::auth {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kOne[] = "wQ3vVtYh1m0c7y2b9s4K";
constexpr char kTwo[] = "zX8nLr5TgD6pJ0aFqE1o";

class ClusterSecretTest : public testing::Test {
 protected:
  ClusterSecretTest() { MR_CHECK(fs_.CreateDirectories("d").ok()); }

  std::shared_ptr<ClusterSecret> Open(const std::string& path, const std::string& content) {
    Write(path, content);
    auto secret = ClusterSecret::Open(path, fs_, clock_, 0);
    EXPECT_TRUE(secret.ok()) << secret.status();
    return *std::move(secret);
  }
  void Write(const std::string& path, const std::string& content) {
    ASSERT_TRUE(io::ReplaceFile(fs_, path, content).ok());
  }
  std::string ErrorOf(const std::string& content) {
    Write("d/secret", content);
    const auto secret = ClusterSecret::Open("d/secret", fs_, clock_, 0);
    EXPECT_EQ(secret.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(secret.status().message());
  }
  // "": let in.
  static std::string Call(const ClusterSecret& from, const ClusterSecret& to, const std::string& method = "/a/b") {
    testing_support::FakeCall call(method);
    call.Add(from.HeadersFor(method));
    return Refusal(to, call);
  }
  static std::string Refusal(const ClusterSecret& to, const testing_support::FakeCall& call) {
    const absl::Status status = to.Check(call);
    EXPECT_TRUE(status.ok() || absl::IsUnauthenticated(status)) << status;
    return std::string(status.message());
  }

  io::testing::MemoryFileSystem fs_;
  base::ManualClock clock_;
};

TEST_F(ClusterSecretTest, TheSameSecretIsLetInAnotherIsNot) {
  const auto here = Open("d/here", absl::StrCat(kOne, "\n"));
  EXPECT_EQ(Call(*here, *Open("d/there", kOne)), "");
  EXPECT_THAT(Call(*here, *Open("d/other", kTwo)), HasSubstr("another secret than this process; give every"));
}

TEST_F(ClusterSecretTest, ACallWithoutASignatureIsToldWhatToDo) {
  const auto secret = Open("d/here", kOne);
  EXPECT_THAT(Refusal(*secret, testing_support::FakeCall("/a/b")),
              AllOf(HasSubstr("the call is not signed"), HasSubstr("cluster.secret-file")));
  EXPECT_EQ(secret->refused(), 1u);
}

TEST_F(ClusterSecretTest, TheSignatureIsThatOfMethodAndTime) {
  const auto secret = Open("d/here", kOne);
  const CallSigner::Headers headers = secret->HeadersFor("/a/b");
  ASSERT_EQ(headers.size(), 2u);
  EXPECT_EQ(headers[0].second, "1700000000000");
  const auto mac = base::HmacSha256(kOne, "/a/b\n1700000000000");
  EXPECT_EQ(headers[1].second, absl::StrCat("MILLRACE-HMAC-SHA256 ", base::HexUpper({mac.data(), mac.size()})));

  testing_support::FakeCall other_method("/a/c");
  other_method.Add(headers);
  EXPECT_NE(Refusal(*secret, other_method), "");
  testing_support::FakeCall other_time("/a/b");
  other_time.Add(headers);
  other_time.Add({{headers[0].first, "1700000000001"}});
  EXPECT_NE(Refusal(*secret, other_time), "");
  for (const char* text : {"MILLRACE-HMAC-SHA256 ", "MILLRACE-HMAC-SHA256 zz", "nonsense"}) {
    testing_support::FakeCall malformed("/a/b");
    malformed.Add({headers[0], {"authorization", text}});
    EXPECT_NE(Refusal(*secret, malformed), "") << text;
  }
}

TEST_F(ClusterSecretTest, ASignatureGrowsOld) {
  const auto secret = Open("d/here", kOne);
  testing_support::FakeCall call("/a/b");
  call.Add(secret->HeadersFor("/a/b"));
  clock_.Advance(ClusterSecret::kClockDifferenceMaxMillis);
  EXPECT_EQ(Refusal(*secret, call), "");
  clock_.Advance(1);
  EXPECT_THAT(Refusal(*secret, call), HasSubstr("the limit is 900 s; set the clocks"));
  clock_.JumpWall(-2 * ClusterSecret::kClockDifferenceMaxMillis - 1);
  EXPECT_EQ(Refusal(*secret, call), "");
  clock_.JumpWall(-1);
  EXPECT_THAT(Refusal(*secret, call), HasSubstr("set the clocks"));
}

// How a secret is changed while everything runs.
TEST_F(ClusterSecretTest, ASecondSecretIsAcceptedBeforeItSigns) {
  const auto here = Open("d/here", kOne), there = Open("d/there", kOne);
  Write("d/here", absl::StrCat(kOne, "\n", kTwo, "\n"));
  here->Poll();
  EXPECT_EQ(Call(*here, *there), "");
  Write("d/there", absl::StrCat(kTwo, "\n", kOne, "\n"));
  there->Poll();
  EXPECT_EQ(Call(*here, *there), "");
  EXPECT_EQ(Call(*there, *here), "");
  Write("d/here", kTwo);
  here->Poll();
  EXPECT_EQ(Call(*here, *there), "");
  EXPECT_EQ(Call(*there, *here), "");
  Write("d/here", "short");
  here->Poll();
  EXPECT_EQ(Call(*here, *there), "");
  EXPECT_FALSE(here->file().good);
}

TEST_F(ClusterSecretTest, BadFilesAreNamedWithoutTheirSecrets) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("secret has 0 secrets; write 1 to 8"));
  EXPECT_THAT(ErrorOf(" \n\n"), HasSubstr("0 secrets"));
  EXPECT_THAT(ErrorOf(absl::StrCat(kOne, "\ntoo-short\n")),
              AllOf(HasSubstr("secret line 2: the secret has 9 bytes"), Not(HasSubstr("too-short"))));
  std::string many;
  for (int i = 0; i < 9; ++i) absl::StrAppend(&many, kOne, "\n");
  EXPECT_THAT(ErrorOf(many), AllOf(HasSubstr("9 secrets"), Not(HasSubstr(kOne))));
}

TEST_F(ClusterSecretTest, WithoutAPathThereIsNone) {
  const auto none = ClusterSecret::Open("", fs_, clock_);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(*none, nullptr);
  EXPECT_EQ(AdmitBy(*none), nullptr);
}

TEST_F(ClusterSecretTest, ThePrintedConfigurationHasThePathOnly) {
  Write("d/secret", kOne);
  ClusterSecretConfig config;
  config::Loader loader("test", "test");
  loader.Add(config);
  ASSERT_TRUE(loader.Load({"--cluster.secret-file", "d/secret"}, {}).ok());
  EXPECT_THAT(loader.ConfigText(), AllOf(HasSubstr("cluster.secret-file: \"d/secret\""), Not(HasSubstr(kOne))));
}

}  // namespace
}  // namespace millrace::auth
