#include "services/proxy/admin_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/bytes.h"
#include "core/metadata.h"
#include "link/messages.h"
#include "model/stored_message.h"
#include "services/proxy/admin_convert.h"

namespace millrace::proxy {
namespace {

namespace v1 = admin::v1;
namespace v2 = apache::rocketmq::v2;
using testing::ElementsAre;
using testing::HasSubstr;

// A broker that keeps topics and groups in maps and answers at once.
class FakeBroker final : public BrokerLink {
 public:
  void Call(link::Op op, std::string payload, std::int64_t timeout_millis, Done done) override {
    timeouts.push_back(timeout_millis);
    std::string kept;
    link::Reply reply{.code = v2::OK};
    if (broken) {
      reply = {.code = v2::PROXY_TIMEOUT, .text = "the link to broker-0 is down"};
    } else if (op == link::Op::kGetMessage) {
      reply = Get(*link::Decode<link::GetMessage>(payload), kept);
    } else {
      reply = Metadata(op, *link::Decode<link::MetadataRequest>(payload), kept);
    }
    std::string answer;
    link::Encode(reply, answer);
    done({.op = link::Op::kReply, .payload = answer});
  }

  std::uint64_t Receive(std::string, std::int64_t, std::shared_ptr<Receiver>) override { return 0; }
  void CancelReceive(std::uint64_t) override {}
  void ReportAnswer(std::uint64_t, bool) override {}
  void ReturnCredit(std::size_t) override {}
  void RegisterClient(absl::string_view, absl::string_view) override {}
  void SignOfLife(absl::string_view, absl::string_view) override {}
  void ClientStreamsEnded(absl::string_view, absl::string_view) override {}
  bool up() const override { return !broken; }

  bool broken = false;
  std::map<std::string, core::TopicConfig> topics;
  std::map<std::string, core::GroupConfig> groups;
  core::GroupProgress progress;
  std::map<std::int64_t, link::Delivery> messages;  // by queue offset
  std::vector<std::int64_t> timeouts;

 private:
  link::Reply Get(const link::GetMessage& request, std::string& kept) {
    const auto found = messages.find(request.queue_offset);
    if (found == messages.end()) return {.code = v2::MESSAGE_NOT_FOUND, .text = "retention took it"};
    link::Encode(found->second, kept);
    return {.code = v2::OK, .payload = kept};
  }

  template <typename Config>
  link::Reply Put(std::map<std::string, Config>& configs, Config config, bool update) {
    if (configs.contains(config.name) != update) return {.code = v2::PRECONDITION_FAILED, .text = "it exists already"};
    config.id = 7;
    config.version += 1;
    configs[config.name] = config;
    return {.code = v2::OK};
  }

  template <typename Config>
  link::Reply Find(const std::map<std::string, Config>& configs, const std::string& name, std::uint32_t unknown,
                   std::string& kept) {
    if (!configs.contains(name)) return {.code = unknown, .text = "no such name"};
    core::Encode(configs.at(name), kept);
    return {.code = v2::OK, .payload = kept};
  }

  template <typename Config>
  link::Reply All(const std::map<std::string, Config>& configs, std::string& kept) {
    for (auto it = configs.rbegin(); it != configs.rend(); ++it) {  // not by name: the service sorts
      std::string item;
      core::Encode(it->second, item);
      base::Put<std::uint32_t>(kept, static_cast<std::uint32_t>(item.size()));
      kept += item;
    }
    return {.code = v2::OK, .payload = kept};
  }

  link::Reply Metadata(link::Op op, const link::MetadataRequest& request, std::string& kept) {
    const std::string name(request.name.data(), request.name.size());
    if (op == link::Op::kPutTopic) return Put(topics, *core::DecodeTopic(request.config), request.kind == 1);
    if (op == link::Op::kPutGroup) return Put(groups, *core::DecodeGroup(request.config), request.kind == 1);
    if (op == link::Op::kDeleteTopic) {
      return topics.erase(name) == 1 ? link::Reply{.code = v2::OK} : link::Reply{.code = v2::TOPIC_NOT_FOUND};
    }
    if (op == link::Op::kDeleteGroup) {
      return groups.erase(name) == 1 ? link::Reply{.code = v2::OK} : link::Reply{.code = v2::CONSUMER_GROUP_NOT_FOUND};
    }
    switch (static_cast<core::QueryKind>(request.kind)) {
      case core::QueryKind::kTopic: return Find(topics, name, v2::TOPIC_NOT_FOUND, kept);
      case core::QueryKind::kGroup: return Find(groups, name, v2::CONSUMER_GROUP_NOT_FOUND, kept);
      case core::QueryKind::kTopics: return All(topics, kept);
      case core::QueryKind::kGroups: return All(groups, kept);
      default: core::Encode(progress, kept); return {.code = v2::OK, .payload = kept};
    }
  }
};

class FakeCall final : public rpc::ServerCall {
 public:
  explicit FakeCall(std::string method) : method_(std::move(method)) {}
  absl::string_view method() const override { return method_; }
  absl::string_view Header(absl::string_view) const override { return ""; }
  absl::string_view authority() const override { return "localhost:8083"; }
  absl::string_view peer() const override { return "127.0.0.1:5"; }
  bool tls() const override { return false; }
  std::optional<std::int64_t> RemainingMillis() const override { return remaining_millis; }
  void SendInitialMetadata() override {}
  bool Write(std::string) override { return true; }
  std::size_t UnsentBytes() const override { return 0; }
  void Finish(const absl::Status& status) override { finished.push_back(status); }
  void WriteAndFinish(std::string message) override { answers.push_back(std::move(message)); }
  void OnEnded(std::function<void(rpc::CallEnd)>) override {}

  std::optional<std::int64_t> remaining_millis;
  std::vector<std::string> answers;
  std::vector<absl::Status> finished;

 private:
  const std::string method_;
};

class AdminServiceTest : public testing::Test {
 protected:
  template <typename Response, typename Request>
  Response Call(const std::string& method, const Request& request) {
    const auto call = std::make_shared<FakeCall>("/millrace.admin.v1.Admin/" + method);
    EXPECT_EQ(service_.Kind(call->method()), rpc::CallKind::kUnary) << method;
    service_.OnRequest(call, request.SerializeAsString());
    EXPECT_EQ(call->answers.size(), 1u);
    Response response;
    EXPECT_TRUE(response.ParseFromString(call->answers.at(0)));
    return response;
  }

  v1::TopicResponse CreateTopic(const std::string& name, const v1::TopicSettings& settings = {}) {
    v1::CreateTopicRequest request;
    request.set_name(name);
    *request.mutable_settings() = settings;
    return Call<v1::TopicResponse>("CreateTopic", request);
  }

  v1::TopicResponse UpdateTopic(const std::string& name, const v1::TopicSettings& settings) {
    v1::UpdateTopicRequest request;
    request.set_name(name);
    *request.mutable_settings() = settings;
    return Call<v1::TopicResponse>("UpdateTopic", request);
  }

  v1::GroupResponse CreateGroup(const std::string& name, const v1::GroupSettings& settings) {
    v1::CreateGroupRequest request;
    request.set_name(name);
    *request.mutable_settings() = settings;
    return Call<v1::GroupResponse>("CreateGroup", request);
  }

  base::ManualClock clock_;
  FakeBroker broker_;
  AdminService service_{broker_, clock_};
};

TEST_F(AdminServiceTest, KnowsItsMethodsOnly) {
  EXPECT_EQ(service_.Kind("/millrace.admin.v1.Admin/Nothing"), std::nullopt);
  EXPECT_EQ(service_.Kind("/apache.rocketmq.v2.Admin/CreateTopic"), std::nullopt);
  EXPECT_EQ(service_.Kind("/millrace.admin.v1.Admin/GetMessage"), rpc::CallKind::kUnary);
}

TEST_F(AdminServiceTest, BytesThatAreNoRequestEndTheCallWithAnError) {
  const auto call = std::make_shared<FakeCall>("/millrace.admin.v1.Admin/CreateTopic");
  service_.OnRequest(call, "\xff\xff\xff");
  ASSERT_EQ(call->finished.size(), 1u);
  EXPECT_EQ(call->finished[0].code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(AdminServiceTest, ANewTopicHasTheDefaultsAndWhatWasGiven) {
  v1::TopicSettings settings;
  settings.set_type(v1::FIFO);
  const auto response = CreateTopic("orders", settings);
  ASSERT_EQ(response.status().code(), v2::OK) << response.status().text();
  EXPECT_EQ(response.topic().name(), "orders");
  EXPECT_EQ(response.topic().id(), 7u);
  EXPECT_EQ(response.topic().type(), v1::FIFO);
  EXPECT_EQ(response.topic().access(), v1::READ_WRITE);
  EXPECT_EQ(response.topic().queues(), 8u);
}

TEST_F(AdminServiceTest, AnUpdateLeavesWhatIsNotGiven) {
  v1::TopicSettings settings;
  settings.set_type(v1::DELAY);
  CreateTopic("orders", settings);
  v1::TopicSettings change;
  change.set_access(v1::READ);
  const auto response = UpdateTopic("orders", change);
  ASSERT_EQ(response.status().code(), v2::OK) << response.status().text();
  EXPECT_EQ(response.topic().access(), v1::READ);
  EXPECT_EQ(response.topic().type(), v1::DELAY);
}

TEST_F(AdminServiceTest, QueuesGrowAndNeverShrink) {
  CreateTopic("orders");
  v1::TopicSettings change;
  change.set_queues(16);
  EXPECT_EQ(UpdateTopic("orders", change).topic().queues(), 16u);
  change.set_queues(4);
  const auto refused = UpdateTopic("orders", change);
  EXPECT_EQ(refused.status().code(), v2::PRECONDITION_FAILED);
  EXPECT_THAT(refused.status().text(), HasSubstr("has 16 queues and cannot shrink to 4"));
  EXPECT_EQ(broker_.topics["orders"].queues, 16u);
}

TEST_F(AdminServiceTest, ValuesOutOfRangeAreRefusedWithValueAndLimit) {
  v1::TopicSettings settings;
  settings.set_queues(0);
  EXPECT_THAT(CreateTopic("orders", settings).status().text(), HasSubstr("is 0; give 1 to 1024"));
  settings.set_queues(1'025);
  EXPECT_EQ(CreateTopic("orders", settings).status().code(), v2::BAD_REQUEST);
  settings.set_queues(1);
  settings.set_type(static_cast<v1::TopicType>(8));
  EXPECT_THAT(CreateTopic("orders", settings).status().text(), HasSubstr("type's number is 8; give 1 to 7"));
  v1::GroupSettings group;
  group.set_max_attempts(1'001);
  EXPECT_THAT(CreateGroup("g", group).status().text(), HasSubstr("is 1001; give 1 to 1000"));
  group.set_max_attempts(1);
  group.mutable_backoff()->add_millis(kBackoffMillisMax + 1);
  EXPECT_THAT(CreateGroup("g", group).status().text(), HasSubstr("give 0 to 43200000"));
  EXPECT_TRUE(broker_.topics.empty());
  EXPECT_TRUE(broker_.groups.empty());
}

TEST_F(AdminServiceTest, NamesThatAreNotLegalNeverReachTheBroker) {
  EXPECT_EQ(CreateTopic("no spaces").status().code(), v2::ILLEGAL_TOPIC);
  EXPECT_EQ(CreateTopic("%DLQ%g").status().code(), v2::ILLEGAL_TOPIC);
  EXPECT_EQ(CreateGroup("", {}).status().code(), v2::ILLEGAL_CONSUMER_GROUP);
  EXPECT_TRUE(broker_.timeouts.empty());
}

TEST_F(AdminServiceTest, WhatTheBrokerRefusesComesThrough) {
  CreateTopic("orders");
  const auto again = CreateTopic("orders");
  EXPECT_EQ(again.status().code(), v2::PRECONDITION_FAILED);
  EXPECT_EQ(again.status().text(), "it exists already");
  broker_.broken = true;
  EXPECT_EQ(CreateTopic("other").status().code(), v2::PROXY_TIMEOUT);
}

TEST_F(AdminServiceTest, ListsAreSortedByName) {
  for (const char* name : {"b", "c", "a"}) CreateTopic(name);
  const auto response = Call<v1::ListTopicsResponse>("ListTopics", v1::ListTopicsRequest());
  std::vector<std::string> names;
  for (const auto& topic : response.topics()) names.push_back(topic.name());
  EXPECT_THAT(names, ElementsAre("a", "b", "c"));
}

TEST_F(AdminServiceTest, ADeletedTopicIsGone) {
  CreateTopic("orders");
  v1::DeleteTopicRequest request;
  request.set_name("orders");
  EXPECT_EQ(Call<v1::DeleteTopicResponse>("DeleteTopic", request).status().code(), v2::OK);
  EXPECT_EQ(Call<v1::DeleteTopicResponse>("DeleteTopic", request).status().code(), v2::TOPIC_NOT_FOUND);
}

TEST_F(AdminServiceTest, AGroupKeepsItsSettings) {
  v1::GroupSettings settings;
  settings.set_fifo(true);
  settings.set_max_attempts(3);
  settings.mutable_backoff()->add_millis(1'000);
  settings.mutable_backoff()->add_millis(5'000);
  settings.set_lite_topic("parent");
  settings.set_lite_model(v1::EXCLUSIVE);
  const auto response = CreateGroup("readers", settings);
  ASSERT_EQ(response.status().code(), v2::OK) << response.status().text();
  EXPECT_TRUE(response.group().fifo());
  EXPECT_EQ(response.group().max_attempts(), 3u);
  EXPECT_THAT(response.group().backoff().millis(), ElementsAre(1'000, 5'000));
  EXPECT_EQ(response.group().lite_model(), v1::EXCLUSIVE);

  v1::UpdateGroupRequest update;
  update.set_name("readers");
  update.mutable_settings()->mutable_backoff()->set_exponential(true);
  const auto updated = Call<v1::GroupResponse>("UpdateGroup", update);
  EXPECT_TRUE(updated.group().backoff().exponential());
  EXPECT_EQ(updated.group().backoff().millis_size(), 0);
  EXPECT_TRUE(updated.group().fifo());
}

TEST_F(AdminServiceTest, AContradictionIsRefused) {
  v1::GroupSettings settings;
  settings.mutable_backoff()->set_exponential(true);
  settings.mutable_backoff()->add_millis(1);
  EXPECT_EQ(CreateGroup("g", settings).status().code(), v2::BAD_REQUEST);
  v1::GroupSettings lite;
  lite.set_lite_model(v1::SHARED);
  EXPECT_THAT(CreateGroup("g", lite).status().text(), HasSubstr("no lite topic"));
}

// Two topics, three queues, and what is known about the oldest open message of each.
class DescribeGroupTest : public AdminServiceTest {
 protected:
  DescribeGroupTest() {
    broker_.progress.group.name = "readers";
    broker_.progress.clients = 2;
    broker_.progress.queues = {
        {.topic = "b", .maximum = 9, .ready = 1, .in_flight = 2, .dead_lettered = 3, .oldest_open_offset = 40},
        {.topic = "a", .queue = 1, .maximum = 9, .ready = 4, .claimed = 1, .acknowledged = 7, .oldest_open_offset = 30},
        {.topic = "a", .queue = 0, .maximum = 9, .waiting = 5, .oldest_open_offset = -1},
    };
    broker_.messages[30].store_millis = clock_.WallMillis() - 3'000;
    broker_.messages[40].store_millis = clock_.WallMillis() - 9'000;
  }

  v1::DescribeGroupResponse Describe() {
    v1::DescribeGroupRequest request;
    request.set_name("readers");
    return Call<v1::DescribeGroupResponse>("DescribeGroup", request);
  }
};

TEST_F(DescribeGroupTest, SumsPerTopicAndOverAll) {
  const auto response = Describe();
  ASSERT_EQ(response.status().code(), v2::OK);
  EXPECT_EQ(response.clients(), 2u);
  EXPECT_EQ(response.progress().ready(), 5);
  EXPECT_EQ(response.progress().in_flight(), 3) << "claimed entries are on their way";
  EXPECT_EQ(response.progress().waiting(), 5);
  EXPECT_EQ(response.progress().dead_lettered(), 3);
  ASSERT_EQ(response.topics_size(), 2);
  EXPECT_EQ(response.topics(0).topic(), "a");
  EXPECT_EQ(response.topics(0).progress().acknowledged(), 7);
  ASSERT_EQ(response.topics(0).queues_size(), 2);
  EXPECT_EQ(response.topics(0).queues(0).queue(), 0u);
}

TEST_F(DescribeGroupTest, TheAgeIsThatOfTheOldestOpenMessage) {
  const auto response = Describe();
  EXPECT_EQ(response.oldest_open_age_millis(), 9'000);
  EXPECT_EQ(response.topics(0).oldest_open_age_millis(), 3'000);
  EXPECT_FALSE(response.topics(0).queues(0).has_oldest_open_offset());
  EXPECT_FALSE(response.topics(0).queues(0).has_oldest_open_age_millis());
}

TEST_F(DescribeGroupTest, AMessageThatRetentionTookHasNoAge) {
  broker_.messages.erase(30);
  const auto response = Describe();
  ASSERT_EQ(response.status().code(), v2::OK);
  EXPECT_FALSE(response.topics(0).has_oldest_open_age_millis());
  EXPECT_EQ(response.topics(1).oldest_open_age_millis(), 9'000);
}

TEST_F(AdminServiceTest, AStoredMessageComesBackWhole) {
  v2::SystemProperties system;
  system.set_message_id("ID1");
  system.set_tag("red");
  v2::Message user;
  (*user.mutable_user_properties())["k"] = "v";
  const std::string system_bytes = system.SerializeAsString();
  const std::string user_bytes = user.SerializeAsString();
  const std::string stored = model::EncodeStoredMessage({.message_type = v2::NORMAL,
                                                         .md5 = base::Md5("hello"),
                                                         .system = system_bytes,
                                                         .user = user_bytes,
                                                         .body = "hello"});
  broker_.messages[12] = {.queue = 3, .queue_offset = 12, .store_millis = 1'700'000'000'250, .stored = stored};
  v1::GetMessageRequest request;
  request.set_topic("ns%orders");
  request.set_queue(3);
  request.set_offset(12);
  const auto response = Call<v1::GetMessageResponse>("GetMessage", request);
  ASSERT_EQ(response.status().code(), v2::OK) << response.status().text();
  const v2::Message& message = response.message();
  EXPECT_EQ(message.topic().resource_namespace(), "ns");
  EXPECT_EQ(message.topic().name(), "orders");
  EXPECT_EQ(message.body(), "hello");
  EXPECT_EQ(message.user_properties().at("k"), "v");
  EXPECT_EQ(message.system_properties().tag(), "red");
  EXPECT_EQ(message.system_properties().queue_id(), 3);
  EXPECT_EQ(message.system_properties().queue_offset(), 12);
  EXPECT_EQ(message.system_properties().store_timestamp().nanos(), 250'000'000);
  EXPECT_EQ(message.system_properties().body_digest().checksum(), "5D41402ABC4B2A76B9719D911017C592");
}

TEST_F(AdminServiceTest, AMissingMessageAndANegativeOffsetAreTwoErrors) {
  v1::GetMessageRequest request;
  request.set_topic("orders");
  request.set_offset(5);
  EXPECT_EQ(Call<v1::GetMessageResponse>("GetMessage", request).status().code(), v2::MESSAGE_NOT_FOUND);
  request.set_offset(-1);
  EXPECT_EQ(Call<v1::GetMessageResponse>("GetMessage", request).status().code(), v2::ILLEGAL_OFFSET);
}

TEST_F(AdminServiceTest, TheBrokerGetsLessTimeThanTheCallerHas) {
  const auto call = std::make_shared<FakeCall>("/millrace.admin.v1.Admin/ListTopics");
  call->remaining_millis = 1'000;
  service_.OnRequest(call, "");
  ASSERT_EQ(broker_.timeouts.size(), 1u);
  EXPECT_GT(broker_.timeouts[0], 0);
  EXPECT_LT(broker_.timeouts[0], 1'000);
}

}  // namespace
}  // namespace millrace::proxy
