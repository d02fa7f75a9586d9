#include "services/proxy/admin_ages.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "link/messages.h"
#include "model/error.h"

namespace millrace::proxy {
namespace {

namespace v1 = admin::v1;

class AgeWalk : public std::enable_shared_from_this<AgeWalk> {
 public:
  AgeWalk(BrokerLink& link, const base::Clock& clock, std::int64_t deadline_millis, v1::DescribeGroupResponse response,
          std::function<void(v1::DescribeGroupResponse)> then)
      : link_(link),
        clock_(clock),
        deadline_millis_(deadline_millis),
        response_(std::move(response)),
        then_(std::move(then)) {}

  void Next() {
    for (; topic_ < response_.topics_size(); ++topic_, queue_ = 0) {
      for (; queue_ < response_.topics(topic_).queues_size(); ++queue_) {
        if (!response_.topics(topic_).queues(queue_).has_oldest_open_offset()) continue;
        const std::int64_t left = deadline_millis_ - clock_.MonotonicMillis();
        if (left <= 0) return Done();
        return Ask(response_.topics(topic_).queues(queue_), left);
      }
    }
    Done();
  }

 private:
  void Ask(const v1::GroupQueue& queue, std::int64_t timeout_millis) {
    std::string payload;
    link::Encode(link::GetMessage{queue.topic(), queue.queue(), queue.oldest_open_offset()}, payload);
    link_.Call(link::Op::kGetMessage, std::move(payload), timeout_millis,
               [self = shared_from_this()](const link::Record& record) { self->OnReply(record); });
  }

  void OnReply(const link::Record& record) {
    const auto reply = link::Decode<link::Reply>(record.payload);
    if (!reply) return Done();
    if (reply->code == apache::rocketmq::v2::OK) {
      if (const auto delivery = link::Decode<link::Delivery>(reply->payload)) SetAge(delivery->store_millis);
    } else if (reply->code != apache::rocketmq::v2::MESSAGE_NOT_FOUND &&
               reply->code != apache::rocketmq::v2::OFFSET_NOT_FOUND) {
      return Done();
    }
    ++queue_;
    Next();
  }

  void SetAge(std::int64_t store_millis) {
    const std::int64_t age = std::max<std::int64_t>(0, clock_.WallMillis() - store_millis);
    v1::GroupTopic& topic = *response_.mutable_topics(topic_);
    topic.mutable_queues(queue_)->set_oldest_open_age_millis(age);
    topic.set_oldest_open_age_millis(std::max(age, topic.oldest_open_age_millis()));
    response_.set_oldest_open_age_millis(std::max(age, response_.oldest_open_age_millis()));
  }

  void Done() { then_(std::move(response_)); }

  BrokerLink& link_;
  const base::Clock& clock_;
  const std::int64_t deadline_millis_;
  v1::DescribeGroupResponse response_;
  const std::function<void(v1::DescribeGroupResponse)> then_;
  int topic_ = 0;  // where the walk stands
  int queue_ = 0;
};

}  // namespace

void FillAges(BrokerLink& link, const base::Clock& clock, std::int64_t deadline_millis,
              v1::DescribeGroupResponse response, std::function<void(v1::DescribeGroupResponse)> then) {
  std::make_shared<AgeWalk>(link, clock, deadline_millis, std::move(response), std::move(then))->Next();
}

}  // namespace millrace::proxy
