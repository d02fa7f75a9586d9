#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apache/rocketmq/v2/service.pb.h"
#include "cli/exit_code.h"
#include "cli/testing/cli_fixture.h"
#include "millrace/v1/admin.pb.h"

namespace millrace::cli {
namespace {

namespace v1 = admin::v1;
namespace v2 = apache::rocketmq::v2;
using testing::ElementsAre;
using testing::HasSubstr;

FakeServer::Answer Received(const std::vector<std::string>& ids) {
  FakeServer::Answer answer;
  v2::ReceiveMessageResponse part;
  part.mutable_status()->set_code(ids.empty() ? v2::MESSAGE_NOT_FOUND : v2::OK);
  answer.messages.push_back(part.SerializeAsString());
  for (const std::string& id : ids) {
    part.mutable_message()->mutable_system_properties()->set_message_id(id);
    part.mutable_message()->mutable_system_properties()->set_receipt_handle("handle of " + id);
    answer.messages.push_back(part.SerializeAsString());
  }
  return answer;
}

class CheckTest : public CliTest {
 protected:
  CheckTest() {
    server_.On("CreateTopic", Ok<v1::TopicResponse>());
    server_.On("SendMessage", Status(v2::SendMessageResponse(), v2::OK));
    server_.On("AckMessage", Status(v2::AckMessageResponse(), v2::OK));
    server_.On("NotifyClientTermination", Status(v2::NotifyClientTerminationResponse(), v2::OK));
    server_.on_request = [this](const std::string& method, const std::string& request) {
      v2::SendMessageRequest sent;
      if (method == "SendMessage" && sent.ParseFromString(request)) {
        sent_.push_back(sent.messages(0).system_properties().message_id());
      } else if (method == "ReceiveMessage") {
        std::vector<std::string> ids{"of an earlier run"};
        ids.insert(ids.end(), sent_.begin(), sent_.end() - lost_);
        server_.On("ReceiveMessage", Received(received_++ == 0 ? ids : std::vector<std::string>{}));
      }
    };
  }

  template <typename Response>
  static Response Status(Response response, v2::Code code) {
    response.mutable_status()->set_code(code);
    return response;
  }

  std::vector<std::string> sent_;
  int lost_ = 0, received_ = 0;
};

TEST_F(CheckTest, ReceivesAndAcknowledgesWhatItHasSentAndWhatWasThereBefore) {
  EXPECT_EQ(Run({"check", "--count", "2", "--proxy", "p:1"}), kExitOk) << err_.str();
  EXPECT_THAT(server_.Methods(), ElementsAre("CreateTopic", "SendMessage", "SendMessage", "ReceiveMessage",
                                             "AckMessage", "NotifyClientTermination"));
  EXPECT_EQ(server_.Asked<v2::AckMessageRequest>("AckMessage").entries_size(), 3);
  EXPECT_EQ(out_.str(), "ok: 2 messages sent, received and acknowledged through p:1 in 0 ms\n");
}

TEST_F(CheckTest, ATopicOfAnEarlierRunIsUsed) {
  FakeServer fresh;
  std::swap(server_, fresh);
  server_.On("CreateTopic", Refused<v1::TopicResponse>(v2::PRECONDITION_FAILED, "topic millrace-check exists already"));
  server_.On("SendMessage", Status(v2::SendMessageResponse(), v2::FORBIDDEN));
  EXPECT_EQ(Run({"check"}), kExitForbidden);
  EXPECT_THAT(server_.Methods(), ElementsAre("CreateTopic", "SendMessage"));
  EXPECT_THAT(err_.str(), HasSubstr("message 1 of 10: refused (FORBIDDEN 40300)"));
}

TEST_F(CheckTest, FailsWhenAMessageDoesNotCome) {
  lost_ = 1;
  EXPECT_EQ(Run({"check", "--count", "3", "--wait", "1s"}), kExitFailed);
  EXPECT_THAT(err_.str(), HasSubstr("of 3 messages sent to millrace-check 1 did not come to group millrace-check"));
  EXPECT_THAT(err_.str(), HasSubstr(sent_.back()));
}

}  // namespace
}  // namespace millrace::cli
