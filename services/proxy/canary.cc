#include "services/proxy/canary.h"

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/digest.h"
#include "core/metadata.h"
#include "link/messages.h"
#include "model/error.h"
#include "model/stored_message.h"
#include "services/proxy/broker_query.h"

namespace millrace::proxy {
namespace {

constexpr std::uint32_t kOk = 20'000;
constexpr std::uint32_t kNormal = 1;
constexpr std::int64_t kTimeoutMillis = 2'500;
constexpr std::int64_t kWaitMillis = 20'000;
constexpr std::int64_t kWaitMarginMillis = 2'000;
constexpr std::int64_t kInvisibleMillis = 30'000;
constexpr std::uint32_t kBatch = 32;
constexpr std::uint32_t kAnswerBytesMax = 1 << 20;
constexpr std::int64_t kOldMillis = 600'000;  // what a canary left that was switched off says nothing about now

template <typename Config>
std::string Creation(absl::string_view name) {
  Config config;
  config.name = std::string(name.data(), name.size());
  if constexpr (std::is_same_v<Config, core::TopicConfig>) config.queues = 1;
  std::string encoded, payload;
  core::Encode(config, encoded);
  link::Encode(link::MetadataRequest{0, name, encoded}, payload);
  return payload;
}

// Another proxy, or an earlier start of this one, has made it.
bool Exists(const model::Result<std::string>& created) {
  return created.ok() || created.error().code == model::ErrorCode::kPreconditionFailed;
}

}  // namespace

// One long poll. The end may overtake a last delivery.
class Canary::Poll final : public BrokerLink::Receiver {
 public:
  Poll(std::shared_ptr<Canary> canary, BrokerLink& link) : canary_(std::move(canary)), link_(link) {}

  void OnDelivery(const link::Delivery& delivery) override {
    link_.ReturnCredit(delivery.stored.size());
    {
      base::MutexLock lock(mu_);
      if (!over_) handles_.emplace_back(delivery.handle.data(), delivery.handle.size());
      if (over_) return;
    }
    const auto stored = model::ParseStoredMessage(delivery.stored);
    if (stored && delivery.attempt == 1) canary_->OnMessage(stored->body);
  }
  void OnEnd(const link::DeliveryEnd& end) override {
    std::vector<std::string> handles;
    {
      base::MutexLock lock(mu_);
      over_ = true;
      handles.swap(handles_);
    }
    if (end.answer != 0) link_.ReportAnswer(end.answer, true);
    for (const std::string& handle : handles) canary_->Acknowledge(handle);
    canary_->OnPollEnded(!handles.empty());
  }

 private:
  const std::shared_ptr<Canary> canary_;
  BrokerLink& link_;
  base::Mutex mu_;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::string> handles_ ABSL_GUARDED_BY(mu_);
};

Canary::Canary(BrokerLink& link, const base::Clock& clock, const std::string& proxy_name)
    : link_(link),
      clock_(clock),
      client_(absl::StrCat("canary@", proxy_name)),
      id_(base::HexUpper(base::RandomBytes(8))) {}

void Canary::Tick() {
  if (stopped_) return;
  if (!link_.up()) {
    ++failed_;
    return;
  }
  if (!prepared_) return Prepare();
  Send();
  if (!polling_.exchange(true)) Receive();
}

void Canary::Stop() {
  stopped_ = true;
  std::uint64_t receive = 0;
  {
    base::MutexLock lock(mu_);
    receive = receive_;
  }
  if (receive != 0) link_.CancelReceive(receive);
}

// Brokers of a chart create nothing on first use, so topic and group are made in so many words.
void Canary::Prepare() {
  if (preparing_.exchange(true)) return;
  const auto fail = [](Canary& canary) {
    ++canary.failed_;
    canary.preparing_ = false;
  };
  AskBroker(link_, link::Op::kPutTopic, Creation<core::TopicConfig>(kCanaryTopic), kTimeoutMillis,
            [self = shared_from_this(), fail](const model::Result<std::string>& topic) {
              if (!Exists(topic)) return fail(*self);
              AskBroker(self->link_, link::Op::kPutGroup, Creation<core::GroupConfig>(kCanaryGroup), kTimeoutMillis,
                        [self, fail](const model::Result<std::string>& group) {
                          if (!Exists(group)) return fail(*self);
                          self->prepared_ = true;
                          self->preparing_ = false;
                        });
            });
}

void Canary::Send() {
  const std::string body = absl::StrCat(id_, " ", clock_.MonotonicNanos(), " ", clock_.WallMillis());
  const std::string stored = model::EncodeStoredMessage(
      {.message_type = static_cast<std::uint8_t>(kNormal), .md5 = base::Md5(body), .body = body});
  std::string payload;
  link::Encode(link::SendRequest{.topic = kCanaryTopic,
                                 .message_type = kNormal,
                                 .messages = {{.born_millis = clock_.WallMillis(), .stored = stored}}},
               payload);
  link_.Call(link::Op::kSend, std::move(payload), kTimeoutMillis,
             [self = shared_from_this()](const link::Record& record) {
               std::uint32_t code = 0;
               if (record.op == link::Op::kSendReply) {
                 if (const auto reply = link::Decode<link::SendReply>(record.payload)) code = reply->code;
               } else if (const auto reply = link::Decode<link::Reply>(record.payload)) {
                 code = reply->code;
               }
               ++(code == kOk ? self->sent_ : self->failed_);
               // Deleted at the broker: made again.
               if (code == static_cast<std::uint32_t>(model::ErrorCode::kTopicNotFound)) self->prepared_ = false;
             });
}

void Canary::Receive() {
  std::string payload;
  link::Encode(link::ReceiveRequest{.topic = kCanaryTopic,
                                    .group = kCanaryGroup,
                                    .client = client_,
                                    .filter = "*",
                                    .invisible_millis = kInvisibleMillis,
                                    .wait_millis = kWaitMillis,
                                    .batch = kBatch,
                                    .bytes_max = kAnswerBytesMax},
               payload);
  const std::uint64_t receive = link_.Receive(std::move(payload), kWaitMillis + kWaitMarginMillis,
                                              std::make_shared<Poll>(shared_from_this(), link_));
  {
    base::MutexLock lock(mu_);
    receive_ = std::max(receive_, receive);  // the next poll may have begun already
  }
  if (stopped_) link_.CancelReceive(receive);
}

void Canary::OnMessage(absl::string_view body) {
  const std::vector<absl::string_view> parts = absl::StrSplit(body, ' ');
  std::int64_t sent_nanos = 0, sent_millis = 0;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[1], &sent_nanos) || !absl::SimpleAtoi(parts[2], &sent_millis))
    return;
  const std::int64_t age_millis = clock_.WallMillis() - sent_millis;
  if (age_millis > kOldMillis) return;
  const bool mine = parts[0] == id_;
  end_to_end_.Record(mine ? clock_.MonotonicNanos() - sent_nanos : age_millis * 1'000'000);
}

// After an empty answer the next Tick() polls: a broker that answers at once is asked once a second.
void Canary::OnPollEnded(bool delivered) {
  if (delivered && !stopped_) return Receive();
  polling_ = false;
}

void Canary::Acknowledge(const std::string& handle) {
  std::string payload;
  link::Encode(link::HandleRequest{.topic = kCanaryTopic, .group = kCanaryGroup, .handle = handle}, payload);
  AskBroker(link_, link::Op::kAck, std::move(payload), kTimeoutMillis,
            [self = shared_from_this()](const model::Result<std::string>& acknowledged) {
              ++(acknowledged.ok() ? self->acknowledged_ : self->unacknowledged_);
            });
}

}  // namespace millrace::proxy
