#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/codes.h"
#include "core/impl.h"

namespace millrace::core {
namespace {

constexpr std::uint64_t kTurnBytesMax = 16u << 20;

SendMessage MessageAt(const char* messages, std::size_t index) {
  SendMessage message;
  std::memcpy(&message, messages + index * sizeof message, sizeof message);
  return message;
}

}  // namespace

std::uint64_t Core::Impl::SendBytes(const char* messages, std::size_t count) const {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < count; ++i) bytes += store::RecordBytes(1, MessageAt(messages, i).body.size);
  return bytes;
}

// Sends of one turn take at most this; the rest of the batch is left to progress and metadata.
std::uint64_t Core::Impl::TurnSendLimit() const { return std::min(kTurnBytesMax, options_.segment_bytes / 4); }

void Core::Impl::RefuseSend(const ReplyTo& reply, std::uint32_t code, absl::string_view text, const char* messages,
                            std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    out_->Add(ActionType::kReleaseBody, ReleaseBody{MessageAt(messages, i).body.slot, 0});
  }
  out_->Add(ActionType::kSendReply, SendReply{reply, code, 0, 0, OutText(text)});
}

void Core::Impl::OnSend(const Send& event, const EventBatch& batch) {
  const absl::string_view messages = Text(batch, event.messages), topic = Text(batch, event.topic);
  const std::size_t count = messages.size() / sizeof(SendMessage);
  const std::uint64_t bytes = SendBytes(messages.data(), count);
  if (UnconfirmedBytes() + bytes > options_.unconfirmed_bytes_max) {
    return RefuseSend(event.reply, code::kTooManyRequests,
                      absl::StrCat("the log has ", UnconfirmedBytes(), " bytes that are not confirmed, at most ",
                                   options_.unconfirmed_bytes_max, " are allowed; send again later"),
                      messages.data(), count);
  }
  if (bytes > TurnSendLimit()) {
    return RefuseSend(event.reply, code::kMessageBodyTooLarge,
                      absl::StrCat("one send of ", bytes, " bytes, at most ", TurnSendLimit(),
                                   " are allowed; send fewer or smaller messages"),
                      messages.data(), count);
  }
  if (deferred_.empty() && planned_bytes_ + bytes <= TurnSendLimit()) {
    return TakeSend(event.reply, topic, messages.data(), count, event.message_type, event.auto_create);
  }
  DeferredSend later{event.reply, std::string(topic.data(), topic.size()), {}, event.message_type, event.auto_create,
                     bytes};
  for (std::size_t i = 0; i < count; ++i) later.messages.push_back(MessageAt(messages.data(), i));
  deferred_bytes_ += bytes;
  deferred_.push(std::move(later));
}

void Core::Impl::TakeDeferredSends() {
  while (!deferred_.empty() && planned_bytes_ + deferred_.front().bytes <= TurnSendLimit()) {
    const DeferredSend send = deferred_.pop();
    deferred_bytes_ -= send.bytes;
    TakeSend(send.reply, send.topic, reinterpret_cast<const char*>(send.messages.data()), send.messages.size(),
             send.message_type, send.auto_create);
  }
}

void Core::Impl::TakeSend(const ReplyTo& reply, absl::string_view name, const char* messages, std::size_t count,
                          std::uint32_t message_type, std::uint32_t auto_create) {
  const auto refuse = [&](std::uint32_t code, absl::string_view text) {
    RefuseSend(reply, code, text, messages, count);
  };
  const auto normal = static_cast<std::uint32_t>(TopicType::kNormal);
  if (count == 0) return refuse(code::kBadRequest, "a send without messages; send at least one");
  if (log_failed_) {
    return refuse(code::kInternalServerError, "the commit log has failed and takes nothing more; restart the broker");
  }
  if (writes_refused_) {
    return refuse(code::kInternalServerError,
                  absl::StrCat("the volume is ", used_percent_, " % full and takes no messages; free space on it"));
  }
  Topic* topic = FindTopic(name);
  if (topic == nullptr) {
    if (auto_create == 0 || absl::StartsWith(name, kDeadLetterPrefix)) {
      return refuse(code::kTopicNotFound, absl::StrCat("topic ", name, " does not exist; create it first"));
    }
    if (message_type != normal) {
      return refuse(code::kNotImplemented, absl::StrCat("topic ", name, " was not created: messages of type ",
                                                        message_type, " are not built yet"));
    }
  } else {
    const TopicConfig& config = topic->config;
    const auto type = static_cast<std::uint32_t>(config.type);
    if (type != message_type && config.type != TopicType::kMixed) {
      return refuse(code::kMessagePropertyConflictWithType,
                    absl::StrCat("topic ", name, " has type ", type, ", the message has type ", message_type,
                                 "; send it to a topic of its type"));
    }
    if (message_type != normal) {
      return refuse(code::kNotImplemented, absl::StrCat("messages of type ", message_type, " are not built yet"));
    }
    if (config.access != Access::kWrite && config.access != Access::kReadWrite) {
      return refuse(code::kForbidden, absl::StrCat("topic ", name, " may not be written; change its access"));
    }
  }
  if (topic == nullptr) {
    TopicConfig config;
    config.name.assign(name.data(), name.size());
    config.queues = options_.auto_create_queues;
    topic = CreateTopic(std::move(config));
  }
  const std::uint32_t queue = topic->next_queue++ % topic->config.queues;
  Queue& state = topic->queues[queue];
  Wait wait;
  wait.kind = WaitKind::kSend;
  wait.reply = reply;
  wait.queue = queue;
  wait.offset = state.appended;
  for (std::size_t i = 0; i < count; ++i) {
    const SendMessage message = MessageAt(messages, i);
    RecordPlan& record = out_->append.records.emplace_back();
    record.type = store::RecordType::kMessage;
    record.has_body = 1;
    record.queue = queue;
    record.topic_id = topic->config.id;
    record.queue_offset = state.appended++;
    record.tag_field = message.tag_hash | static_cast<std::uint64_t>(message.group_hash) << 32;
    record.time_millis = message.born_millis;
    record.keys = out_->AddText(reinterpret_cast<const char*>(&message.id_hash), sizeof message.id_hash);
    record.body = message.body;
    planned_bytes_ += store::RecordBytes(1, message.body.size);
    topic->counters.bytes_in += message.body.size;
    sums_.bytes_in += message.body.size;
    base::HistogramCounts& sizes = sums_.sizes[message_type - 1];
    ++sizes.buckets[kSizeBytes.BucketOf(message.body.size)];
    sizes.sum += message.body.size;
  }
  topic->counters.messages_in += count;
  sums_.messages_in += count;
  Touch(*topic);
  pending_ends_.push({turn_, topic->config.id, state.appended, now_, queue});
  WaitForTurn(wait);
}

}  // namespace millrace::core
