// C-010 to C-014: who may call.
#include "absl/strings/ascii.h"
#include "auth/client_signature.h"
#include "base/digest.h"
#include "services/proxy/method.h"
#include "tests/integration/wire_fixture.h"

namespace millrace {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kAccessKey[] = "orders";
constexpr char kSecretKey[] = "8f3b7a1c9d8e7f6a";
constexpr char kUsers[] = "users:\n  - accessKey: orders\n    secretKey: 8f3b7a1c9d8e7f6a\n";
constexpr char kDate[] = "20240101T000000Z";

class AuthWireTest : public WireTest {
 protected:
  AuthWireTest() : WireTest({.auto_create_topics = true, .users = kUsers}) {
    admin_ = auth::Signed(std::move(admin_), std::make_shared<auth::ClientSigner>(kAccessKey, kSecretKey, clock_), "");
    SignAs(client_);
  }

  static void SignAs(WireClient& client, absl::string_view access_key = kAccessKey,
                     absl::string_view secret_key = kSecretKey, const std::string& date = kDate) {
    client.headers["x-mq-date-time"] = date;
    client.headers["authorization"] = auth::ClientAuthorization(access_key, secret_key, date);
  }
  // Headers that no user has signed, each with a word of what the refusal says.
  std::vector<std::pair<WireClient, std::string>> Strangers() const {
    std::vector<std::pair<WireClient, std::string>> strangers;
    const auto add = [&](const std::string& says) -> WireClient& {
      strangers.emplace_back(Client("stranger"), says);
      return strangers.back().first;
    };
    add("the header authorization is missing");
    SignAs(add("there is no user with the access key \"nobody\""), "nobody");
    SignAs(add("the signature is not that of the access key \"orders\""), kAccessKey, "another secret");
    SignAs(add("x-mq-date-time"));
    strangers.back().first.headers.erase("x-mq-date-time");
    SignAs(add("the access key is empty"), "", "");
    add("has not the form").headers["authorization"] = "nonsense";
    SignAs(add("the signature is not that of"));
    strangers.back().first.headers["x-mq-date-time"] = "20240101T000001Z";
    return strangers;
  }
  v2::Code RouteCode(WireClient& client) {
    v2::QueryRouteRequest request;
    request.mutable_topic()->set_name("orders");
    return client.Call<v2::QueryRouteResponse>("QueryRoute", request).status().code();
  }

  const base::SystemClock clock_;
};

TEST_F(AuthWireTest, C_010_SignaturesInEitherCaseAndCredentialsWithOrWithoutRegion) {
  const auto mac = base::HmacSha1(kSecretKey, kDate);
  const std::string upper = base::HexUpper({mac.data(), mac.size()});
  for (const char* credential : {"orders", "orders//Rocketmq", "orders/cn-hangzhou/RocketMQ"}) {
    for (const std::string& signature : {upper, absl::AsciiStrToLower(upper)}) {
      client_.headers["authorization"] = absl::StrCat("MQv2-HMAC-SHA1 Credential=", credential,
                                                      ", SignedHeaders=x-mq-date-time, Signature=", signature);
      EXPECT_EQ(SendCode(MakeMessage("orders", "a")), v2::OK) << credential << " " << signature;
    }
  }
  EXPECT_EQ(Receive(ReceiveRequest("orders")).status.code(), v2::OK);
  const auto telemetry = client_.OpenTelemetry();
  telemetry->Write(ProducerSettings("orders"));
  EXPECT_EQ(Answer(*telemetry).status().code(), v2::OK);
}

TEST_F(AuthWireTest, C_011_ADateOfAnyFormatAndAgeIsSigned) {
  for (const char* date : {"20240101T000000Z", "19700101T000000Z", "2026-11-24T20:50:00.123456+08:00", "tomorrow"}) {
    SignAs(client_, kAccessKey, kSecretKey, date);
    EXPECT_EQ(SendCode(MakeMessage("orders", "a")), v2::OK) << date;
  }
}

TEST_F(AuthWireTest, C_012_OthersAreUnauthorizedInBandOnEveryRpc) {
  for (auto& [stranger, says] : Strangers()) {
    for (std::size_t i = 0; i < proxy::kMethodCount; ++i) {
      const auto method = static_cast<proxy::Method>(i);
      if (proxy::KindOf(method) != rpc::CallKind::kUnary) continue;
      // Every response has its status in the same place.
      const auto answer = stranger.Call<v2::HeartbeatResponse>(proxy::NameOf(method), v2::HeartbeatRequest());
      EXPECT_EQ(answer.status().code(), v2::UNAUTHORIZED) << proxy::NameOf(method) << " " << says;
      EXPECT_THAT(answer.status().message(), HasSubstr(says));
      EXPECT_THAT(answer.status().message(), Not(HasSubstr(kSecretKey)));
    }
    const Received received = ReceiveAs(stranger, ReceiveRequest("orders"));
    EXPECT_THAT(received.order, testing::ElementsAre("status")) << says;
    EXPECT_EQ(received.status.code(), v2::UNAUTHORIZED);
    EXPECT_TRUE(received.end.ok()) << received.end;
  }
  EXPECT_EQ(Admin<admin_v1::ListTopicsResponse>("ListTopics", admin_v1::ListTopicsRequest()).topics_size(), 0);
}

TEST_F(AuthWireTest, C_013_OnTelemetryOneCommandSaysSoAndTheStreamEndsWell) {
  for (auto& [stranger, says] : Strangers()) {
    const auto telemetry = stranger.OpenTelemetry();
    telemetry->Write(ProducerSettings("orders"));
    EXPECT_TRUE(telemetry->heard().WaitForEnd().ok()) << says;
    ASSERT_EQ(telemetry->heard().messages().size(), 1u) << says;
    const v2::TelemetryCommand command = Parsed(telemetry->heard().messages()[0]);
    EXPECT_EQ(command.status().code(), v2::UNAUTHORIZED);
    EXPECT_THAT(command.status().message(), HasSubstr(says));
    EXPECT_FALSE(command.has_settings());
  }
}

TEST_F(AuthWireTest, AdministratorsSignTheSameWay) {
  const auto code_for = [this](std::shared_ptr<const auth::CallSigner> signer) {
    const auto channel =
        auth::Signed(rpc::MakeChannel(absl::StrCat("127.0.0.1:", stack_.admin_port())), std::move(signer), "");
    admin_v1::ListTopicsResponse response;
    const auto bytes = channel->CallAndWait("/millrace.admin.v1.Admin/ListTopics", {}, "", 20'000);
    MR_CHECK(bytes.ok() && response.ParseFromString(*bytes));
    return response.status().code();
  };
  const auto signer = [this](const char* access_key, const char* secret_key) {
    return std::make_shared<auth::ClientSigner>(access_key, secret_key, clock_);
  };
  EXPECT_EQ(code_for(signer(kAccessKey, kSecretKey)), v2::OK);
  EXPECT_EQ(code_for(signer(kAccessKey, "another secret")), v2::UNAUTHORIZED);
  EXPECT_EQ(code_for(signer("nobody", kSecretKey)), v2::UNAUTHORIZED);
  EXPECT_EQ(code_for(nullptr), v2::UNAUTHORIZED);
}

TEST_F(AuthWireTest, AChangedFileHoldsWithoutARestartAndABrokenOneChangesNothing) {
  const auto loads = [this] { return stack_.proxy().users()->file(); };
  const auto until = [](const std::function<bool()>& condition) {
    while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  };
  WireClient next = Client("next");
  SignAs(next, "billing", "another-secret");
  EXPECT_EQ(RouteCode(next), v2::UNAUTHORIZED);
  stack_.WriteUsers("users:\n  - accessKey: billing\n    secretKey: another-secret\n");
  until([&] { return loads().loaded == 2; });
  EXPECT_EQ(RouteCode(next), v2::OK);
  EXPECT_EQ(RouteCode(client_), v2::UNAUTHORIZED);
  stack_.WriteUsers("users:\n  - accessKey: billing\n");
  until([&] { return loads().failed == 1; });
  EXPECT_FALSE(loads().good);
  EXPECT_EQ(RouteCode(next), v2::OK);
}

}  // namespace
}  // namespace millrace
