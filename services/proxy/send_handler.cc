#include "services/proxy/send_handler.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "link/messages.h"
#include "model/tag_filter.h"
#include "services/proxy/answers.h"
#include "services/proxy/record_hashes.h"
#include "services/proxy/route_checks.h"
#include "services/proxy/wire.h"

namespace millrace::proxy {
namespace {

// Fields of v2.SendMessageResponse and v2.SendResultEntry.
constexpr std::uint32_t kStatusField = 1;
constexpr std::uint32_t kEntriesField = 2;
constexpr std::uint32_t kMessageIdEntryField = 2;
constexpr std::uint32_t kOffsetEntryField = 4;

// What is left of a request once it has been read.
struct PendingSend {
  const ServiceParts& parts;
  RequestContext context;
  std::string topic;
  MessageType type = MessageType::kNormal;
  std::string message_group;
  absl::InlinedVector<std::string, 1> ids;
  std::string record;  // an encoded link::SendRequest
};
using PendingSendPtr = std::shared_ptr<PendingSend>;

std::string EncodeRecord(const IngressSend& send, bool auto_create) {
  link::SendRequest request;
  request.topic = send.topic;
  request.message_type = static_cast<std::uint32_t>(send.messages.front().type);
  request.auto_create = auto_create;
  request.messages.reserve(send.messages.size());
  std::size_t size = send.topic.size() + 16;
  for (const IngressMessage& message : send.messages) {
    request.messages.push_back({.born_millis = message.born_millis,
                                .tag_hash = message.tag.empty() ? 0 : model::TagHash(message.tag),
                                .group_hash = GroupHash(message.message_group),
                                .id_hash = KeyHash(message.message_id),
                                .stored = message.stored});
    size += sizeof(link::SendMessage) + message.stored.size();
  }
  std::string record;
  record.reserve(size);
  link::Encode(request, record);
  return record;
}

std::string SentAnswer(const PendingSend& send, std::int64_t first_offset) {
  const auto& ids = send.ids;
  std::string answer;
  answer.reserve(16 + ids.size() * 72);
  AppendStatus(answer, kStatusField, kOk, "OK");
  std::string entry;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    entry.clear();
    AppendStatus(entry, kStatusField, kOk, "OK");
    AppendBytesField(entry, kMessageIdEntryField, ids[i]);
    const auto offset = static_cast<std::uint64_t>(first_offset) + i;
    if (offset != 0) AppendVarintField(entry, kOffsetEntryField, offset);
    AppendBytesField(answer, kEntriesField, entry);
  }
  return answer;
}

// Whether a message of the send may have been stored: then every message gets an entry, else only the top status.
bool IsUnknownOutcome(model::ErrorCode code) {
  return code == model::ErrorCode::kMasterPersistenceTimeout || code == model::ErrorCode::kSlavePersistenceTimeout ||
         code == model::ErrorCode::kHaNotAvailable || code == model::ErrorCode::kProxyTimeout;
}

void AnswerFailure(const PendingSend& send, const model::Error& error) {
  NoteRefusal(send.parts, send.context, error);
  std::string answer = ErrorAnswer(error);
  if (IsUnknownOutcome(error.code)) {
    std::string entry;
    AppendStatus(entry, kStatusField, error.number(), error.text);
    for (std::size_t i = 0; i < send.ids.size(); ++i) AppendBytesField(answer, kEntriesField, entry);
  }
  Answer(send.parts, send.context, error.number(), std::move(answer));
}

void AnswerFromBroker(const PendingSend& send, const link::Record& record) {
  if (record.op == link::Op::kSendReply) {
    if (const auto reply = link::Decode<link::SendReply>(record.payload)) {
      if (reply->code != kOk) return AnswerFailure(send, BrokerError(reply->code, reply->text));
      send.parts.metrics.messages_in += send.ids.size();
      return Answer(send.parts, send.context, kOk, SentAnswer(send, reply->first_offset), record.taken_nanos);
    }
  } else if (const auto reply = link::Decode<link::Reply>(record.payload); reply && reply->code != kOk) {
    return AnswerFailure(send, BrokerError(reply->code, reply->text));
  }
  AnswerFailure(send, {model::ErrorCode::kInternalServerError,
                       absl::StrCat("the broker's answer to a send to topic ", send.topic,
                                    " does not decode, so the messages may or may not be stored: run proxy and broker "
                                    "of the same or adjacent releases")});
}

void PassOn(const PendingSendPtr& send, const TopicRoute& route) {
  auto set = WritableSet(route, send->message_group, send->ids.front());
  if (!set.ok()) return AnswerFailure(*send, set.error());
  if (auto error = CheckType(route, send->type)) return AnswerFailure(*send, *error);
  (*set)->link->Call(link::Op::kSend, std::move(send->record), send->context.BrokerMillis(),
                     [send](const link::Record& record) { AnswerFromBroker(*send, record); });
}

}  // namespace

void SendHandler::Handle(const RequestContext& context, absl::string_view bytes) {
  parts_.metrics.bytes_in += bytes.size();
  parts_.clients.Saw(context.client_id(), "");
  const auto scanned = ScanSendRequest(bytes,
                                       {.default_namespace = context.default_namespace(),
                                        .peer_host = context.peer_host(),
                                        .now_millis = parts_.clock.WallMillis()},
                                       parts_.options.limits);
  if (!scanned.ok()) return Refuse(parts_, context, scanned.error());

  auto send = std::make_shared<PendingSend>(PendingSend{parts_,
                                                        context,
                                                        scanned->topic,
                                                        scanned->messages.front().type,
                                                        std::string(scanned->messages.front().message_group),
                                                        {},
                                                        {}});
  send->ids.reserve(scanned->messages.size());
  for (const IngressMessage& message : scanned->messages) {
    send->ids.emplace_back(message.message_id.data(), message.message_id.size());
  }
  send->record = EncodeRecord(*scanned, parts_.options.auto_create_topics);

  if (const auto route = parts_.directory.CachedTopic(send->topic)) return PassOn(send, *route);
  parts_.directory.FindTopic(send->topic, [send](const model::Result<Directory::RoutePtr>& route) {
    if (!route.ok()) return AnswerFailure(*send, route.error());
    PassOn(send, **route);
  });
}

}  // namespace millrace::proxy
