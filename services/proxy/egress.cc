#include "services/proxy/egress.h"

#include <algorithm>

#include "base/digest.h"
#include "services/proxy/system_properties.h"
#include "services/proxy/wire.h"

namespace millrace::proxy {
namespace {

// Field numbers of v2.Message and of the answers' oneof.
constexpr std::uint32_t kTopicField = 1;
constexpr std::uint32_t kSystemPropertiesField = 3;
constexpr std::uint32_t kBodyField = 4;
constexpr std::uint32_t kStatusElement = 1;
constexpr std::uint32_t kMessageElement = 2;
constexpr std::uint32_t kDeliveryTimestampElement = 3;
constexpr std::uint32_t kNextOffsetElement = 3;

constexpr std::uint64_t kDigestMd5 = 2;  // v2 enum DigestType
constexpr std::size_t kHeaderBytesMax = 2 * 10;

std::size_t BytesFieldSize(std::size_t size) { return 1 + VarintBytes(size) + size; }  // field numbers below 16

std::string TopicResource(const DeliveryFields& delivery) {
  std::string resource;
  if (!delivery.resource_namespace.empty()) AppendBytesField(resource, 1, delivery.resource_namespace);
  AppendBytesField(resource, 2, delivery.topic);
  return resource;
}

void AppendDigest(std::string& out, const base::Md5Digest& md5) {
  std::string digest;
  AppendVarintField(digest, 1, kDigestMd5);
  AppendBytesField(digest, 2, base::HexUpper({md5.data(), md5.size()}));
  AppendBytesField(out, kBodyDigestField, digest);
}

void AppendDeadLetter(std::string& out, const DeadLetterOrigin& origin) {
  std::string letter;
  AppendBytesField(letter, 1, origin.topic);
  AppendBytesField(letter, 2, origin.message_id);
  AppendBytesField(out, kDeadLetterQueueField, letter);
}

// v2.SystemProperties of what only the server knows.
std::string ServerFields(const model::StoredMessageView& message, const DeliveryFields& delivery) {
  std::string out;
  AppendDigest(out, message.md5);
  AppendTimeField(out, kStoreTimestampField, delivery.store_millis);
  AppendBytesField(out, kStoreHostField, delivery.store_host);
  if (delivery.receipt_handle) AppendBytesField(out, kReceiptHandleField, *delivery.receipt_handle);
  AppendVarintField(out, kQueueIdField, static_cast<std::uint64_t>(std::int64_t{delivery.queue_id}));
  AppendVarintField(out, kQueueOffsetField, static_cast<std::uint64_t>(delivery.queue_offset));
  if (delivery.invisible_millis) AppendTimeField(out, kInvisibleDurationField, *delivery.invisible_millis);
  // Several clients take the logarithm or an index of it: never below 1.
  AppendVarintField(out, kDeliveryAttemptField, static_cast<std::uint64_t>(std::max(delivery.delivery_attempt, 1)));
  if (delivery.dead_letter) AppendDeadLetter(out, *delivery.dead_letter);
  return out;
}

struct MessagePieces {
  std::string topic;
  std::string server;
  std::size_t system_bytes = 0;
  std::size_t bytes = 0;  // of the serialised v2.Message
};

MessagePieces Prepare(const model::StoredMessageView& message, const DeliveryFields& delivery) {
  MessagePieces pieces{TopicResource(delivery), ServerFields(message, delivery)};
  pieces.system_bytes = message.system.size() + pieces.server.size();
  pieces.bytes = BytesFieldSize(pieces.topic.size()) + message.user.size() + BytesFieldSize(pieces.system_bytes) +
                 BytesFieldSize(message.body.size());
  return pieces;
}

void AppendMessage(std::string& out, const model::StoredMessageView& message, const MessagePieces& pieces) {
  AppendBytesField(out, kTopicField, pieces.topic);
  out.append(message.user.data(), message.user.size());
  AppendBytesHeader(out, kSystemPropertiesField, pieces.system_bytes);
  out.append(message.system.data(), message.system.size());
  out.append(pieces.server);
  AppendBytesField(out, kBodyField, message.body);
}

}  // namespace

std::string MakeMessage(const model::StoredMessageView& message, const DeliveryFields& delivery) {
  const MessagePieces pieces = Prepare(message, delivery);
  std::string out;
  out.reserve(pieces.bytes);
  AppendMessage(out, message, pieces);
  return out;
}

std::string MakeMessageElement(const model::StoredMessageView& message, const DeliveryFields& delivery) {
  const MessagePieces pieces = Prepare(message, delivery);
  std::string out;
  out.reserve(pieces.bytes + kHeaderBytesMax);
  AppendBytesHeader(out, kMessageElement, pieces.bytes);
  AppendMessage(out, message, pieces);
  return out;
}

std::string MakeStatusElement(int code, absl::string_view text) {
  std::string status;
  AppendVarintField(status, 1, static_cast<std::uint64_t>(code));
  AppendBytesField(status, 2, text);
  std::string out;
  AppendBytesField(out, kStatusElement, status);
  return out;
}

std::string MakeStatusElement(const model::Error& error) { return MakeStatusElement(error.number(), error.text); }

std::string MakeDeliveryTimestampElement(std::int64_t now_millis) {
  std::string out;
  AppendTimeField(out, kDeliveryTimestampElement, now_millis);
  return out;
}

std::string MakeNextOffsetElement(std::int64_t next_offset) {
  std::string out;
  AppendVarintField(out, kNextOffsetElement, static_cast<std::uint64_t>(next_offset));
  return out;
}

}  // namespace millrace::proxy
