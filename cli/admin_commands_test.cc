#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/exit_code.h"
#include "cli/testing/cli_fixture.h"
#include "millrace/v1/admin.pb.h"

namespace millrace::cli {
namespace {

namespace v1 = admin::v1;
namespace v2 = apache::rocketmq::v2;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

v1::Topic Orders() {
  v1::Topic topic;
  topic.set_name("orders");
  topic.set_id(7);
  topic.set_version(3);
  topic.set_type(v1::FIFO);
  topic.set_access(v1::READ_WRITE);
  topic.set_queues(8);
  topic.set_created_millis(1'700'000'000'250);
  return topic;
}

v1::Group Readers() {
  v1::Group group;
  group.set_name("readers");
  group.set_id(9);
  group.set_version(4);
  group.set_max_attempts(17);
  group.mutable_backoff()->add_millis(1'000);
  group.mutable_backoff()->add_millis(5'000);
  group.set_created_millis(1'700'000'000'250);
  return group;
}

TEST_F(CliTest, TopicCreateSendsWhatWasGivenAndNothingElse) {
  v1::TopicResponse response = Ok<v1::TopicResponse>();
  *response.mutable_topic() = Orders();
  server_.On("CreateTopic", response);
  EXPECT_EQ(Run({"topic", "create", "orders", "--type", "fifo"}), kExitOk) << err_.str();
  const auto asked = server_.Asked<v1::CreateTopicRequest>("CreateTopic");
  EXPECT_EQ(asked.name(), "orders");
  EXPECT_EQ(asked.settings().type(), v1::FIFO);
  EXPECT_FALSE(asked.settings().has_queues());
  EXPECT_FALSE(asked.settings().has_access());
  EXPECT_EQ(out_.str(),
            "NAME    TYPE  ACCESS  QUEUES  CREATED\n"
            "orders  fifo  rw      8       2023-11-14T22:13:20.250Z\n");
}

TEST_F(CliTest, TopicUpdateTakesEveryOption) {
  server_.On("UpdateTopic", Ok<v1::TopicResponse>());
  EXPECT_EQ(Run({"topic", "update", "orders", "--type=mixed", "--queues=16", "--access=none"}), kExitOk) << err_.str();
  const auto settings = server_.Asked<v1::UpdateTopicRequest>("UpdateTopic").settings();
  EXPECT_EQ(settings.type(), v1::MIXED);
  EXPECT_EQ(settings.queues(), 16u);
  EXPECT_EQ(settings.access(), v1::NONE);
}

TEST_F(CliTest, TopicListAsJson) {
  v1::ListTopicsResponse response = Ok<v1::ListTopicsResponse>();
  *response.add_topics() = Orders();
  server_.On("ListTopics", response);
  EXPECT_EQ(Run({"topic", "list", "--output", "json"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), R"([
  {
    "name": "orders",
    "id": "7",
    "version": 3,
    "type": "fifo",
    "access": "rw",
    "queues": 8,
    "created": "2023-11-14T22:13:20.250Z"
  }
]
)");
}

TEST_F(CliTest, TopicDescribeShowsOffsets) {
  v1::DescribeTopicResponse response = Ok<v1::DescribeTopicResponse>();
  *response.mutable_topic() = Orders();
  v1::TopicQueue& queue = *response.add_queues();
  queue.set_queue(0);
  queue.set_minimum(10);
  queue.set_maximum(25);
  server_.On("DescribeTopic", response);
  EXPECT_EQ(Run({"topic", "describe", "orders"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("QUEUE  MINIMUM  MAXIMUM  STORED\n"
                                    "0      10       25       15\n"));
  EXPECT_EQ(Run({"topic", "describe", "orders", "-o", "json"}), kExitOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr(R"("queue_offsets": [
    {
      "queue": 0,
      "minimum": 10,
      "maximum": 25
    }
  ])"));
}

TEST_F(CliTest, DeletionsAreConfirmed) {
  server_.On("DeleteTopic", Ok<v1::DeleteTopicResponse>());
  server_.On("DeleteGroup", Ok<v1::DeleteGroupResponse>());
  EXPECT_EQ(Run({"topic", "delete", "orders"}), kExitOk);
  EXPECT_EQ(out_.str(), "deleted topic orders\n");
  EXPECT_EQ(Run({"group", "delete", "readers", "--output=json"}), kExitOk);
  EXPECT_EQ(out_.str(), "{\n  \"deleted\": \"readers\"\n}\n");
}

TEST_F(CliTest, GroupCreateTakesEveryOption) {
  server_.On("CreateGroup", Ok<v1::GroupResponse>());
  EXPECT_EQ(Run({"group", "create", "readers", "--fifo", "--max-attempts", "3", "--backoff", "1000,5000",
                 "--lite-topic", "parent", "--lite-model", "exclusive", "--lite-quota", "10", "--renew-limit", "90s"}),
            kExitOk)
      << err_.str();
  const auto settings = server_.Asked<v1::CreateGroupRequest>("CreateGroup").settings();
  EXPECT_TRUE(settings.fifo());
  EXPECT_EQ(settings.max_attempts(), 3u);
  EXPECT_THAT(settings.backoff().millis(), ElementsAre(1'000, 5'000));
  EXPECT_EQ(settings.lite_topic(), "parent");
  EXPECT_EQ(settings.lite_model(), v1::EXCLUSIVE);
  EXPECT_EQ(settings.lite_quota(), 10);
  EXPECT_EQ(settings.renew_limit_millis(), 90'000);
}

TEST_F(CliTest, GroupUpdateLeavesWhatIsNotGiven) {
  server_.On("UpdateGroup", Ok<v1::GroupResponse>());
  EXPECT_EQ(Run({"group", "update", "readers", "--backoff", "exp", "--no-fifo"}), kExitOk) << err_.str();
  const auto settings = server_.Asked<v1::UpdateGroupRequest>("UpdateGroup").settings();
  EXPECT_TRUE(settings.backoff().exponential());
  EXPECT_TRUE(settings.has_fifo());
  EXPECT_FALSE(settings.fifo());
  EXPECT_FALSE(settings.has_max_attempts());
}

TEST_F(CliTest, GroupListAsTable) {
  v1::ListGroupsResponse response = Ok<v1::ListGroupsResponse>();
  *response.add_groups() = Readers();
  server_.On("ListGroups", response);
  EXPECT_EQ(Run({"group", "list"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(),
            "NAME     FIFO  ATTEMPTS  BACKOFF    LITE-TOPIC  CREATED\n"
            "readers  no    17        1000,5000  -           2023-11-14T22:13:20.250Z\n");
}

v1::DescribeGroupResponse Progress(const v1::Group& readers) {
  v1::DescribeGroupResponse response;
  response.mutable_status()->set_code(v2::OK);
  *response.mutable_group() = readers;
  response.set_clients(2);
  response.set_oldest_open_age_millis(185'000);
  v1::GroupTopic& topic = *response.add_topics();
  topic.set_topic("orders");
  topic.set_oldest_open_age_millis(185'000);
  v1::GroupQueue& queue = *topic.add_queues();
  queue.set_topic("orders");
  queue.set_queue(1);
  queue.set_maximum(20);
  queue.set_next(15);
  queue.set_oldest_open_offset(12);
  queue.set_oldest_open_age_millis(185'000);
  v1::Progress& progress = *queue.mutable_progress();
  progress.set_ready(5);
  progress.set_in_flight(2);
  progress.set_waiting(1);
  progress.set_acknowledged(11);
  progress.set_dead_lettered(1);
  *topic.mutable_progress() = progress;
  *response.mutable_progress() = progress;
  return response;
}

TEST_F(CliTest, GroupDescribeShowsHowFarItIs) {
  server_.On("DescribeGroup", Progress(Readers()));
  EXPECT_EQ(Run({"group", "describe", "readers"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(),
            "NAME     FIFO  ATTEMPTS  BACKOFF    CLIENTS  CREATED\n"
            "readers  no    17        1000,5000  2        2023-11-14T22:13:20.250Z\n"
            "\n"
            "TOPIC   QUEUE  READY  IN-FLIGHT  WAITING  DEAD  ACKED  OLDEST  AGE\n"
            "orders  1      5      2          1        1     11     12      3m05s\n"
            "orders  all    5      2          1        1     11     -       3m05s\n"
            "all     all    5      2          1        1     11     -       3m05s\n");
}

TEST_F(CliTest, GroupDescribeAsJson) {
  server_.On("DescribeGroup", Progress(Readers()));
  EXPECT_EQ(Run({"group", "describe", "readers", "--output", "json"}), kExitOk) << err_.str();
  EXPECT_EQ(out_.str(), R"({
  "name": "readers",
  "id": "9",
  "version": 4,
  "fifo": false,
  "max_attempts": 17,
  "backoff": "1000,5000",
  "renew_limit_millis": 0,
  "lite_topic": "",
  "lite_model": "",
  "lite_quota": 0,
  "created": "2023-11-14T22:13:20.250Z",
  "clients": 2,
  "progress": {
    "ready": 5,
    "in_flight": 2,
    "waiting": 1,
    "acknowledged": 11,
    "rejected": 0,
    "dead_lettered": 1,
    "skipped": 0,
    "expired": 0
  },
  "oldest_open_age_millis": 185000,
  "topics": [
    {
      "topic": "orders",
      "progress": {
        "ready": 5,
        "in_flight": 2,
        "waiting": 1,
        "acknowledged": 11,
        "rejected": 0,
        "dead_lettered": 1,
        "skipped": 0,
        "expired": 0
      },
      "oldest_open_age_millis": 185000,
      "queues": [
        {
          "queue": 1,
          "minimum": 0,
          "maximum": 20,
          "next": 15,
          "ready": 5,
          "in_flight": 2,
          "waiting": 1,
          "acknowledged": 11,
          "rejected": 0,
          "dead_lettered": 1,
          "skipped": 0,
          "expired": 0,
          "oldest_open_offset": 12,
          "oldest_open_age_millis": 185000
        }
      ]
    }
  ]
}
)");
}

TEST_F(CliTest, TheAdminAddressComesFromTheFlagElseTheVariableElseTheDefault) {
  server_.On("ListTopics", Ok<v1::ListTopicsResponse>());
  Run({"topic", "list"});
  variables_["MILLRACE_ADMIN"] = "proxy.example:1";
  Run({"topic", "list"});
  Run({"topic", "list", "--admin", "other:2"});
  EXPECT_THAT(targets_, ElementsAre("127.0.0.1:8083", "proxy.example:1", "other:2"));
}

TEST_F(CliTest, TheExitCodeTellsWhatWentWrong) {
  using Response = v1::ListTopicsResponse;
  const std::vector<std::pair<int, int>> cases = {{v2::BAD_REQUEST, kExitUsage},
                                                  {v2::ILLEGAL_TOPIC, kExitUsage},
                                                  {v2::TOPIC_NOT_FOUND, kExitNotFound},
                                                  {v2::UNAUTHORIZED, kExitForbidden},
                                                  {v2::FORBIDDEN, kExitForbidden},
                                                  {v2::PROXY_TIMEOUT, kExitUnavailable},
                                                  {v2::TOO_MANY_REQUESTS, kExitUnavailable},
                                                  {v2::PRECONDITION_FAILED, kExitConflict},
                                                  {v2::INTERNAL_SERVER_ERROR, kExitFailed}};
  for (const auto& [code, exit_code] : cases) {
    FakeServer server;
    std::swap(server_, server);
    server_.On("ListTopics", Refused<Response>(code, "because"));
    EXPECT_EQ(Run({"topic", "list"}), exit_code) << code;
    EXPECT_EQ(err_.str(), "millrace: because\n");
    EXPECT_EQ(out_.str(), "");
  }
}

TEST_F(CliTest, AServerThatIsNotThereIsNamedWithWhatToDo) {
  server_.On("ListTopics", FakeServer::Answer{absl::UnavailableError("connection refused"), {}});
  EXPECT_EQ(Run({"topic", "list"}), kExitUnavailable);
  EXPECT_THAT(err_.str(), HasSubstr("127.0.0.1:8083 (connection refused); start one with `millrace up`"));
}

TEST_F(CliTest, WrongUsageCallsNobody) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"topics"},
                                                       {"topic"},
                                                       {"topic", "create"},
                                                       {"topic", "create", "t", "--type", "odd"},
                                                       {"topic", "create", "t", "--queues", "-1"},
                                                       {"topic", "list", "--output", "xml"},
                                                       {"group", "create", "g", "--backoff", "soon"},
                                                       {"group", "create", "g", "--renew-limit", "5"},
                                                       {"message", "send", "t", "--property", "novalue"},
                                                       {"message", "send", "t", "--body", "x", "--file", "f"},
                                                       {"message", "receive", "t"},
                                                       {"message", "receive", "t", "--group", "g", "--wait", "soon"},
                                                       {"message", "get", "t", "0"},
                                                       {"help", "nothing"}};
  for (const auto& arguments : wrong) {
    EXPECT_EQ(Run(arguments), kExitUsage) << testing::PrintToString(arguments);
    EXPECT_NE(err_.str(), "") << testing::PrintToString(arguments);
  }
  EXPECT_TRUE(targets_.empty());
}

TEST_F(CliTest, HelpAndVersion) {
  EXPECT_EQ(Run({"--help"}), kExitOk);
  for (const char* noun : {"topic", "group", "message", "store", "up"}) EXPECT_THAT(out_.str(), HasSubstr(noun));
  EXPECT_EQ(Run({"help", "message", "send"}), kExitOk);
  EXPECT_THAT(out_.str(), HasSubstr("--body TEXT"));
  EXPECT_EQ(Run({"version"}), kExitOk);
  EXPECT_THAT(out_.str(), StartsWith("millrace 0."));
}

}  // namespace
}  // namespace millrace::cli
