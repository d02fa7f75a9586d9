#include "cli/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "apache/rocketmq/v2/service.pb.h"
#include "auth/client_signature.h"
#include "cli/exit_code.h"
#include "cli/testing/cli_fixture.h"
#include "millrace/v1/admin.pb.h"

namespace millrace::cli {
namespace {

namespace v1 = admin::v1;
namespace v2 = apache::rocketmq::v2;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kSecretKey[] = "8f3b7a1c9d8e7f6a";

class CredentialsTest : public CliTest {
 protected:
  CredentialsTest() {
    char name[] = "/tmp/millrace-keys-XXXXXX";
    directory_ = mkdtemp(name);
    server_.On("ListTopics", Ok<v1::ListTopicsResponse>());
  }
  ~CredentialsTest() override { std::filesystem::remove_all(directory_); }

  std::string KeyFile(const std::string& content, mode_t mode = 0600) const {
    const std::string path = directory_ + "/keys.yaml";
    std::ofstream(path) << content;
    chmod(path.c_str(), mode);
    return path;
  }
  bool SignedBy(const std::string& access_key, const std::string& secret_key = kSecretKey) {
    const std::string date = server_.headers["x-mq-date-time"];
    return date == "20231114T221320Z" &&
           server_.headers["authorization"] == auth::ClientAuthorization(access_key, secret_key, date);
  }

  std::string directory_;
};

TEST_F(CredentialsTest, NothingIsSignedWithoutCredentials) {
  EXPECT_EQ(Run({"topic", "list"}), kExitOk) << err_.str();
  EXPECT_THAT(server_.headers, IsEmpty());
}

TEST_F(CredentialsTest, VariablesSignCallsOfAdministratorsAndClients) {
  variables_ = {{"MILLRACE_ACCESS_KEY", "orders"}, {"MILLRACE_SECRET_KEY", kSecretKey}};
  EXPECT_EQ(Run({"topic", "list"}), kExitOk) << err_.str();
  EXPECT_TRUE(SignedBy("orders"));
  v2::SendMessageResponse sent;
  sent.mutable_status()->set_code(v2::OK);
  sent.add_entries();
  server_.On("SendMessage", sent);
  EXPECT_EQ(Run({"message", "send", "orders", "--body", "hello", "--access-key", "billing"}), kExitOk) << err_.str();
  EXPECT_TRUE(SignedBy("billing"));
  EXPECT_THAT(server_.headers["x-mq-client-id"], Not(IsEmpty()));
}

TEST_F(CredentialsTest, AKeyFileHasTheSecretKey) {
  const std::string one = KeyFile("users: [{accessKey: orders, secretKey: 8f3b7a1c9d8e7f6a}]");
  EXPECT_EQ(Run({"topic", "list", "--key-file", one}), kExitOk) << err_.str();
  EXPECT_TRUE(SignedBy("orders"));
  variables_ = {{"MILLRACE_KEY_FILE", one}, {"MILLRACE_SECRET_KEY", "the file counts"}};
  EXPECT_EQ(Run({"topic", "list"}), kExitOk) << err_.str();
  EXPECT_TRUE(SignedBy("orders"));
}

TEST_F(CredentialsTest, OfSeveralUsersOneIsChosen) {
  const std::string path =
      KeyFile("users: [{accessKey: a, secretKey: 8f3b7a1c9d8e7f6a}, {accessKey: b, secretKey: another-secret}]", 0640);
  EXPECT_EQ(Run({"topic", "list", "--key-file", path, "--access-key", "b"}), kExitOk) << err_.str();
  EXPECT_TRUE(SignedBy("b", "another-secret"));
  EXPECT_EQ(Run({"topic", "list", "--key-file", path}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("has 2 users; choose one with --access-key"));
  EXPECT_EQ(Run({"topic", "list", "--key-file", path, "--access-key", "c"}), kExitNotFound);
}

TEST_F(CredentialsTest, MistakesAreNamedWithoutSecrets) {
  const std::string open = KeyFile("users: [{accessKey: a, secretKey: 8f3b7a1c9d8e7f6a}]", 0644);
  EXPECT_EQ(Run({"topic", "list", "--key-file", open}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("chmod 600"));
  EXPECT_EQ(Run({"topic", "list", "--key-file", directory_ + "/none"}), kExitNotFound);
  EXPECT_EQ(Run({"topic", "list", "--key-file", KeyFile("users: [{accessKey: a, secretKey: short}]")}), kExitUsage);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("the secretKey of a has 5 bytes"), Not(HasSubstr("short"))));

  variables_ = {{"MILLRACE_ACCESS_KEY", "orders"}};
  EXPECT_EQ(Run({"topic", "list"}), kExitUsage);
  EXPECT_THAT(err_.str(), HasSubstr("set MILLRACE_SECRET_KEY or give --key-file"));
  variables_ = {{"MILLRACE_SECRET_KEY", kSecretKey}};
  EXPECT_EQ(Run({"topic", "list"}), kExitUsage);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("set MILLRACE_ACCESS_KEY too"), Not(HasSubstr(kSecretKey))));
  EXPECT_EQ(Run({"version"}), kExitOk);  // which calls nobody
}

TEST_F(CredentialsTest, ARefusalIsExitCodeFour) {
  server_.On("ListGroups", Refused<v1::ListGroupsResponse>(v2::UNAUTHORIZED, "there is no user"));
  EXPECT_EQ(Run({"group", "list"}), kExitForbidden);
  EXPECT_THAT(err_.str(), HasSubstr("there is no user"));
}

}  // namespace
}  // namespace millrace::cli
