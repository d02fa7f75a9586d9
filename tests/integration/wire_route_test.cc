// Checklist: routes and assignments.
#include "tests/integration/wire_fixture.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

class RouteWireTest : public WireTest {
 protected:
  explicit RouteWireTest(const testing_support::Stack::Options& options = {}) : WireTest(options) {}

  v2::QueryRouteResponse Route(const std::string& topic, const std::string& resource_namespace = "") {
    v2::QueryRouteRequest request;
    request.mutable_topic()->set_name(topic);
    request.mutable_topic()->set_resource_namespace(resource_namespace);
    return client_.Call<v2::QueryRouteResponse>("QueryRoute", request);
  }
  v2::QueryAssignmentResponse Assignment(const std::string& topic, const std::string& group) {
    v2::QueryAssignmentRequest request;
    request.mutable_topic()->set_name(topic);
    request.mutable_group()->set_name(group);
    return client_.Call<v2::QueryAssignmentResponse>("QueryAssignment", request);
  }
  std::size_t Topics() {
    return static_cast<std::size_t>(
        Admin<admin_v1::ListTopicsResponse>("ListTopics", admin_v1::ListTopicsRequest()).topics_size());
  }
  static std::vector<int> Ids(const v2::QueryAssignmentResponse& answer) {
    std::vector<int> ids;
    for (const auto& each : answer.assignments()) ids.push_back(each.message_queue().id());
    return ids;
  }
};

class AutoCreateWireTest : public RouteWireTest {
 protected:
  AutoCreateWireTest() : RouteWireTest({.auto_create_topics = true}) {}
};

TEST_F(RouteWireTest, C_031_AnUnknownTopicIsNotFoundAndNotCreated) {
  EXPECT_EQ(Route("unknown").status().code(), v2::TOPIC_NOT_FOUND);
  EXPECT_EQ(Topics(), 0u);
}

TEST_F(AutoCreateWireTest, C_031_WithAutoCreationAnUnknownTopicHasARouteAndIsNotCreated) {
  const v2::QueryRouteResponse route = Route("unknown");
  EXPECT_EQ(route.status().code(), v2::OK);
  ASSERT_GT(route.message_queues_size(), 0);
  EXPECT_THAT(route.message_queues(0).accept_message_types(),
              ElementsAre(v2::NORMAL, v2::FIFO, v2::DELAY, v2::TRANSACTION));
  EXPECT_EQ(Topics(), 0u);
  SendBodies("unknown", {"a"});
  EXPECT_EQ(Topics(), 1u);
}

TEST_F(RouteWireTest, C_032_ASystemTopicIsIllegal) {
  EXPECT_EQ(Route("TBW102").status().code(), v2::ILLEGAL_TOPIC);
  EXPECT_EQ(Route("rmq_sys_something").status().code(), v2::ILLEGAL_TOPIC);
}

TEST_F(RouteWireTest, C_033_C_034_C_035_QueuesAreCompleteNumberedFromZeroAndWhereTheClientDialled) {
  CreateTopic("orders", admin_v1::NORMAL, admin_v1::READ_WRITE, 5);
  const v2::QueryRouteResponse route = Route("orders");
  EXPECT_EQ(route.status().code(), v2::OK);
  ASSERT_EQ(route.message_queues_size(), 5);
  for (int i = 0; i < 5; ++i) {
    const v2::MessageQueue& queue = route.message_queues(i);
    EXPECT_EQ(queue.id(), i);
    EXPECT_EQ(queue.permission(), v2::READ_WRITE);
    EXPECT_EQ(queue.broker().id(), 0);
    EXPECT_EQ(queue.broker().name(), "broker-a");
    EXPECT_THAT(queue.accept_message_types(), ElementsAre(v2::NORMAL));
    const v2::Endpoints& endpoints = queue.broker().endpoints();
    EXPECT_EQ(endpoints.scheme(), v2::IPv4);
    ASSERT_EQ(endpoints.addresses_size(), 1);
    EXPECT_EQ(endpoints.addresses(0).host(), "127.0.0.1");
    EXPECT_EQ(endpoints.addresses(0).port(), stack_.proxy_port());
  }
}

TEST_F(RouteWireTest, C_034_TheRequestsEndpointsAreRepeated) {
  CreateTopic("orders");
  v2::QueryRouteRequest request;
  request.mutable_topic()->set_name("orders");
  request.mutable_endpoints()->set_scheme(v2::DOMAIN_NAME);
  request.mutable_endpoints()->add_addresses()->set_host("mq.example.com");
  request.mutable_endpoints()->mutable_addresses(0)->set_port(30'081);
  const auto route = client_.Call<v2::QueryRouteResponse>("QueryRoute", request);
  ASSERT_GT(route.message_queues_size(), 0);
  EXPECT_EQ(route.message_queues(0).broker().endpoints().SerializeAsString(), request.endpoints().SerializeAsString());
}

TEST_F(RouteWireTest, C_036_AMixedTopicTakesFourTypes) {
  CreateTopic("mixed", admin_v1::MIXED);
  const v2::QueryRouteResponse route = Route("mixed");
  for (const v2::MessageQueue& queue : route.message_queues()) {
    EXPECT_THAT(queue.accept_message_types(), ElementsAre(v2::NORMAL, v2::FIFO, v2::DELAY, v2::TRANSACTION));
  }
}

TEST_F(RouteWireTest, C_037_TheTopicIsRepeatedAsAsked) {
  CreateTopic("ns%orders");
  const v2::QueryRouteResponse route = Route("orders", "ns");
  ASSERT_GT(route.message_queues_size(), 0);
  EXPECT_EQ(route.message_queues(0).topic().resource_namespace(), "ns");
  EXPECT_EQ(route.message_queues(0).topic().name(), "orders");
}

TEST_F(RouteWireTest, C_038_AStandardGroupIsAssignedTheWholeBroker) {
  CreateTopic("orders");
  const v2::QueryAssignmentResponse answer = Assignment("orders", "billing");
  EXPECT_EQ(answer.status().code(), v2::OK);
  EXPECT_THAT(Ids(answer), ElementsAre(-1));
  EXPECT_EQ(answer.assignments(0).message_queue().permission(), v2::READ_WRITE);
  EXPECT_EQ(answer.assignments(0).message_queue().broker().endpoints().addresses(0).port(), stack_.proxy_port());
}

TEST_F(RouteWireTest, C_039_AnOrderedGroupIsAssignedEachQueue) {
  CreateTopic("orders");
  CreateGroup("ordered", [](admin_v1::GroupSettings& settings) { settings.set_fifo(true); });
  EXPECT_THAT(Ids(Assignment("orders", "ordered")), ElementsAre(0, 1, 2, 3));
}

TEST_F(RouteWireTest, C_040_AssignmentsAreIdenticalWhileNothingChanges) {
  CreateTopic("orders");
  const std::string first = Assignment("orders", "billing").SerializeAsString();
  EXPECT_EQ(Assignment("orders", "billing").SerializeAsString(), first);
}

TEST_F(RouteWireTest, C_041_ATopicThatMayNotBeReadIsForbiddenToConsumers) {
  CreateTopic("write-only", admin_v1::NORMAL, admin_v1::WRITE);
  EXPECT_EQ(Assignment("write-only", "billing").status().code(), v2::FORBIDDEN);
  const Received received = Receive(ReceiveRequest("write-only"));
  EXPECT_EQ(received.status.code(), v2::FORBIDDEN);
  EXPECT_TRUE(received.end.ok());
}

TEST_F(RouteWireTest, C_042_ATopicThatMayNotBeWrittenIsForbiddenToProducers) {
  CreateTopic("read-only", admin_v1::NORMAL, admin_v1::READ);
  EXPECT_EQ(SendCode(MakeMessage("read-only", "a")), v2::FORBIDDEN);
}

}  // namespace
}  // namespace millrace
