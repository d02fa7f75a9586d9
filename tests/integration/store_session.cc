#include "tests/integration/store_session.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/status.h"
#include "model/stored_message.h"
#include "model/tag_filter.h"

namespace millrace::testing_support {
namespace {

constexpr std::int64_t kTimeoutMillis = 20'000;

class NoTopics final : public broker::TopicListener {
 public:
  void OnTopic(const core::TopicConfig&) override {}
  void OnTopicDeleted(std::uint64_t, absl::string_view) override {}
};

std::string Owned(absl::string_view text) { return std::string(text.data(), text.size()); }

// Set once by one thread, waited for by another.
class Gate {
 public:
  void Open() {
    base::MutexLock lock(mu_);
    open_ = true;
    changed_.NotifyAll();
  }
  void Wait() {
    base::MutexLock lock(mu_);
    while (!open_) changed_.Wait(mu_);
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mu_) = false;
};

class Receiver final : public proxy::BrokerLink::Receiver {
 public:
  void OnDelivery(const link::Delivery& delivery) override {
    const auto view = model::ParseStoredMessage(delivery.stored);
    MR_CHECK(view.has_value());
    messages.push_back({Owned(view->body), Owned(delivery.handle)});
  }
  void OnEnd(const link::DeliveryEnd& end) override {
    answer = end.answer;
    ended.Open();
  }

  std::vector<StoreSession::Message> messages;
  std::uint64_t answer = 0;
  Gate ended;
};

// v2.SystemProperties with tag and message id, as wire bytes.
std::string Stored(const std::string& body, const std::string& tag) {
  const std::string id = absl::StrCat("ID-", base::HexUpper(body.substr(0, 8)));
  std::string system = absl::StrCat("\x0a", std::string(1, static_cast<char>(tag.size())), tag);
  const auto id_at = static_cast<std::uint16_t>(system.size() + 2);
  absl::StrAppend(&system, "\x1a", std::string(1, static_cast<char>(id.size())), id);
  return model::EncodeStoredMessage({.message_type = 1,
                                     .tag = {2, static_cast<std::uint16_t>(tag.size())},
                                     .id = {id_at, static_cast<std::uint16_t>(id.size())},
                                     .md5 = base::Md5(body),
                                     .system = system,
                                     .body = body});
}

std::string DescribeTopic(const core::TopicConfig& topic) {
  return absl::StrCat("topic ", topic.name, ": id ", topic.id, ", version ", topic.version, ", type ",
                      static_cast<int>(topic.type), ", access ", static_cast<int>(topic.access), ", queues ",
                      topic.queues, ", created ", topic.created_millis, "\n");
}

std::string DescribeGroup(const core::GroupConfig& group) {
  return absl::StrCat("group ", group.name, ": id ", group.id, ", version ", group.version, ", fifo ", group.fifo,
                      ", attempts ", group.max_attempts, ", exponential ", group.exponential_backoff, ", backoff ",
                      absl::StrJoin(group.backoff_millis, " "), ", renew limit ", group.renew_limit_millis, ", lite '",
                      group.lite_topic, "' ", group.lite_model, " ", group.lite_quota, ", created ",
                      group.created_millis, "\n");
}

std::string DescribeCursor(const core::QueueProgress& queue) {
  return absl::StrCat("  ", queue.topic, " queue ", queue.queue, ": minimum ", queue.minimum, ", maximum ",
                      queue.maximum, ", start ", queue.start, ", next ", queue.next, ", ready ", queue.ready,
                      ", in flight ", queue.in_flight, ", waiting ", queue.waiting, ", acknowledged ",
                      queue.acknowledged, ", dead-lettered ", queue.dead_lettered, ", oldest open ",
                      queue.oldest_open_offset, "\n");
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoreSession>> StoreSession::Open(io::FileSystem& fs, const std::string& directory) {
  std::unique_ptr<StoreSession> session(new StoreSession());
  broker::BrokerOptions options;
  options.data_directory = directory;
  options.home = "broker-a";
  options.log.segment_bytes = kSegmentBytes;
  session->topics_ = std::make_unique<NoTopics>();
  MR_ASSIGN_OR_RETURN(session->broker_, broker::Broker::Open(options, fs, session->clock_, *session->topics_));
  session->client_ =
      std::make_unique<proxy::LinkClient>(proxy::LinkClient::Options{.proxy_name = "golden"}, session->clock_,
                                          [raw = session.get()](const std::shared_ptr<link::Session>& mine) {
                                            const auto theirs = raw->broker_->links().NewStream();
                                            auto [to_mine, to_theirs] = link::ConnectInProcess(
                                                theirs, mine, [raw] { return raw->clock_.MonotonicMillis(); });
                                            theirs->Attach(to_mine);
                                            mine->Attach(to_theirs);
                                          });
  return session;
}

StoreSession::~StoreSession() { client_.reset(); }

StoreSession::Answer StoreSession::Call(link::Op op, std::string payload) {
  Answer answer;
  Gate gate;
  client_->Call(op, std::move(payload), kTimeoutMillis, [&](const link::Record& record) {
    if (record.op == link::Op::kSendReply) {
      const auto reply = link::Decode<link::SendReply>(record.payload);
      answer = {reply->code, Owned(reply->text), ""};
    } else {
      const auto reply = link::Decode<link::Reply>(record.payload);
      answer = {reply->code, Owned(reply->text), Owned(reply->payload)};
    }
    gate.Open();
  });
  gate.Wait();
  return answer;
}

StoreSession::Answer StoreSession::Query(core::QueryKind kind, const std::string& name) {
  std::string payload;
  Encode(link::MetadataRequest{.kind = static_cast<std::uint32_t>(kind), .name = name}, payload);
  return Call(link::Op::kQuery, std::move(payload));
}

StoreSession::Answer StoreSession::OnHandle(link::Op op, const std::string& handle, std::int64_t duration_millis) {
  std::string payload;
  Encode(
      link::HandleRequest{.topic = "orders", .group = "billing", .handle = handle, .duration_millis = duration_millis},
      payload);
  return Call(op, std::move(payload));
}

StoreSession::Answer StoreSession::Send(const std::string& topic, const std::string& body, const std::string& tag) {
  const std::string stored = Stored(body, tag);
  std::string payload;
  Encode(link::SendRequest{.topic = topic,
                           .message_type = 1,
                           .messages = {{.born_millis = 1'000, .tag_hash = model::TagHash(tag), .stored = stored}}},
         payload);
  return Call(link::Op::kSend, std::move(payload));
}

std::vector<StoreSession::Message> StoreSession::Receive(const std::string& topic, const std::string& group,
                                                         std::int64_t invisible_millis, std::uint32_t batch) {
  const auto receiver = std::make_shared<Receiver>();
  std::string payload;
  Encode(link::ReceiveRequest{.topic = topic,
                              .group = group,
                              .client = "golden",
                              .filter = "*",
                              .invisible_millis = invisible_millis,
                              .wait_millis = 1'000,
                              .batch = batch,
                              .bytes_max = 8 << 20},
         payload);
  client_->Receive(std::move(payload), kTimeoutMillis, receiver);
  receiver->ended.Wait();
  if (receiver->answer != 0) client_->ReportAnswer(receiver->answer, true);
  return receiver->messages;
}

std::vector<std::string> StoreSession::List(core::QueryKind kind) {
  const Answer answer = Query(kind, "");
  base::ByteReader reader(answer.payload);
  std::vector<std::string> items;
  while (!reader.AtEnd() && reader.ok()) items.push_back(Owned(reader.ReadBytes(reader.Read<std::uint32_t>())));
  return items;
}

void StoreSession::DescribeMessages(const core::QueueProgress& queue, std::string& out) {
  for (std::int64_t offset = queue.minimum; offset < queue.maximum; ++offset) {
    std::string payload;
    Encode(
        link::GetMessage{
            .topic = queue.topic, .queue = static_cast<std::uint32_t>(queue.queue), .queue_offset = offset},
        payload);
    const Answer answer = Call(link::Op::kGetMessage, std::move(payload));
    const auto delivery = link::Decode<link::Delivery>(answer.payload);
    const auto message = delivery ? model::ParseStoredMessage(delivery->stored) : std::nullopt;
    absl::StrAppend(&out, "  queue ", queue.queue, " offset ", offset, ": ");
    if (!message || message->md5 != base::Md5(message->body)) {
      absl::StrAppend(&out, "unreadable: ", answer.code, " ", answer.text, "\n");
      continue;
    }
    absl::StrAppend(&out, "tag ", message->tag.value_or(""), ", id ", message->id, ", from '", delivery->origin_topic,
                    "', ", message->body.size(), " bytes: ", message->body.substr(0, 12), "\n");
  }
}

std::string StoreSession::Describe() {
  std::string out;
  std::vector<std::string> names;
  for (const std::string& item : List(core::QueryKind::kTopics)) {
    const auto topic = core::DecodeTopic(item);
    MR_CHECK(topic.has_value());
    out += DescribeTopic(*topic);
    const auto progress = core::DecodeProgress(Query(core::QueryKind::kTopicProgress, topic->name).payload);
    MR_CHECK(progress.has_value());
    for (const core::QueueProgress& queue : progress->queues) DescribeMessages(queue, out);
  }
  for (const std::string& item : List(core::QueryKind::kGroups)) {
    const auto group = core::DecodeGroup(item);
    MR_CHECK(group.has_value());
    out += DescribeGroup(*group);
    const auto progress = core::DecodeProgress(Query(core::QueryKind::kGroupProgress, group->name).payload);
    MR_CHECK(progress.has_value());
    for (const core::QueueProgress& queue : progress->queues) out += DescribeCursor(queue);
  }
  return out;
}

absl::Status StoreSession::Stop() {
  client_.reset();
  return broker_->Stop();
}

}  // namespace millrace::testing_support
