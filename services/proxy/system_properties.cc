#include "services/proxy/system_properties.h"

#include <algorithm>

#include "model/properties.h"
#include "model/text.h"
#include "services/proxy/wire.h"

namespace millrace::proxy {
namespace {

constexpr std::int64_t kSecondsMax = 9'000'000'000'000;

std::int64_t Millis(const WireTime& time, std::int64_t nanos_added) {
  const std::int64_t seconds = std::clamp(time.seconds, -kSecondsMax, kSecondsMax);
  const std::int64_t nanos = time.nanos + nanos_added;
  const std::int64_t down = nanos >= 0 ? nanos / 1'000'000 : -((-nanos + 999'999) / 1'000'000);
  return seconds * 1'000 + down;
}

bool ScanTime(absl::string_view occurrence, std::optional<WireTime>& time) {
  if (!time) time.emplace();
  WireReader reader(occurrence);
  for (WireField field; reader.Next(field);) {
    if (field.Is(1, WireType::kVarint)) time->seconds = static_cast<std::int64_t>(field.varint);
    if (field.Is(2, WireType::kVarint)) time->nanos = static_cast<std::int32_t>(field.varint);
  }
  return reader.ok();
}

bool ScanText(absl::string_view bytes, absl::string_view& text) {
  text = bytes;
  return model::IsUtf8(bytes);
}

bool ScanBytesField(const WireField& field, SystemProperties& properties) {
  switch (field.number) {
    case kTagField: return ScanText(field.bytes, properties.tag);
    case kKeysField: return ScanText(field.bytes, properties.keys.emplace_back());
    case kMessageIdField: return ScanText(field.bytes, properties.message_id);
    case kBornHostField: return ScanText(field.bytes, properties.born_host);
    case kMessageGroupField: return ScanText(field.bytes, properties.message_group);
    case kTraceContextField: return ScanText(field.bytes, properties.trace_context);
    case kLiteTopicField: return ScanText(field.bytes, properties.lite_topic);
    case kBornTimestampField: return ScanTime(field.bytes, properties.born);
    case kDeliveryTimestampField: return ScanTime(field.bytes, properties.delivery);
    case kRecoveryDurationField: return ScanTime(field.bytes, properties.recovery);
    default: return true;
  }
}

void ScanVarintField(const WireField& field, SystemProperties& properties) {
  if (field.number == kBodyEncodingField) properties.body_encoding = static_cast<std::uint32_t>(field.varint);
  if (field.number == kMessageTypeField) properties.message_type = static_cast<std::int32_t>(field.varint);
  if (field.number == kPriorityField) properties.priority = static_cast<std::int32_t>(field.varint);
}

bool IsServerField(std::uint32_t number) {
  switch (number) {
    case kBodyDigestField:
    case kStoreTimestampField:
    case kStoreHostField:
    case kReceiptHandleField:
    case kQueueIdField:
    case kQueueOffsetField:
    case kInvisibleDurationField:
    case kDeliveryAttemptField:
    case kDeadLetterQueueField: return true;
    default: return false;
  }
}

bool IsOptionalText(std::uint32_t number) {
  return number == kTagField || number == kMessageGroupField || number == kTraceContextField ||
         number == kLiteTopicField;
}

// Whether field `number` is left out of a slice that is put together field by field.
bool IsDropped(std::uint32_t number, const SystemProperties& properties) {
  switch (number) {
    case kTagField: return properties.tag.empty();
    case kMessageGroupField: return properties.message_group.empty();
    case kTraceContextField: return properties.trace_context.empty();
    case kLiteTopicField: return properties.lite_topic.empty();
    case kPriorityField: return properties.DerivedType() != MessageType::kPriority;
    default: return IsServerField(number);
  }
}

std::uint64_t EncodingOf(const SystemProperties& properties) {
  return properties.body_encoding == kEncodingGzip ? kEncodingGzip : kEncodingIdentity;
}

// The range of `text`, which ends where `bytes` ends now.
model::SliceRange RangeAtEnd(const std::string& bytes, absl::string_view text) {
  return {static_cast<std::uint16_t>(bytes.size() - text.size()), static_cast<std::uint16_t>(text.size())};
}

void CopyFields(absl::string_view occurrence, const SystemProperties& properties, SystemSlice& slice) {
  WireReader reader(occurrence);
  for (WireField field; reader.Next(field);) {
    if (IsDropped(field.number, properties)) continue;
    slice.bytes.append(field.raw.data(), field.raw.size());
    if (field.Is(kTagField, WireType::kBytes)) slice.tag = RangeAtEnd(slice.bytes, field.bytes);
    if (field.Is(kMessageIdField, WireType::kBytes)) slice.id = RangeAtEnd(slice.bytes, field.bytes);
  }
}

model::SliceRange RangeIn(absl::string_view occurrence, absl::string_view text) {
  if (text.empty()) return {};
  return {static_cast<std::uint16_t>(text.data() - occurrence.data()), static_cast<std::uint16_t>(text.size())};
}

// A later occurrence of a scalar counts, so what the producer said otherwise needs no removal.
void AppendMissing(const SystemProperties& properties, std::int64_t now_millis, absl::string_view peer_host,
                   std::string& bytes) {
  const auto type = static_cast<std::int32_t>(properties.DerivedType());
  if (properties.message_type != type) AppendVarintField(bytes, kMessageTypeField, static_cast<std::uint64_t>(type));
  const std::uint64_t encoding = EncodingOf(properties);
  if (properties.body_encoding != encoding) AppendVarintField(bytes, kBodyEncodingField, encoding);
  if (!properties.born) AppendTimeField(bytes, kBornTimestampField, now_millis);
  if (properties.born_host.empty()) AppendBytesField(bytes, kBornHostField, peer_host);
}

}  // namespace

std::int64_t WireTime::MillisRoundedDown() const { return Millis(*this, 0); }
std::int64_t WireTime::MillisRoundedUp() const { return Millis(*this, 999'999); }

MessageType SystemProperties::DerivedType() const {
  if (message_type == static_cast<std::int32_t>(MessageType::kTransaction)) return MessageType::kTransaction;
  if (delivery) return MessageType::kDelay;
  if (!message_group.empty()) return MessageType::kFifo;
  if (priority) return MessageType::kPriority;
  if (!lite_topic.empty()) return MessageType::kLite;
  return MessageType::kNormal;
}

bool ScanSystemProperties(absl::string_view occurrence, SystemProperties& properties) {
  ++properties.occurrences;
  WireReader reader(occurrence);
  for (WireField field; reader.Next(field);) {
    if (IsServerField(field.number)) properties.has_server_fields = true;
    if (field.type == WireType::kVarint) ScanVarintField(field, properties);
    if (field.type != WireType::kBytes) continue;
    if (IsOptionalText(field.number) && field.bytes.empty()) properties.has_empty_texts = true;
    if (!IsServerField(field.number) && !ScanBytesField(field, properties)) return false;
  }
  return reader.ok();
}

bool KeepsBytes(const SystemProperties& properties) {
  const bool drops_priority = properties.priority && properties.DerivedType() != MessageType::kPriority;
  return properties.occurrences == 1 && !properties.has_server_fields && !properties.has_empty_texts && !drops_priority;
}

std::optional<SystemSlice> MakeSystemSlice(const Texts& occurrences, const SystemProperties& properties,
                                           std::int64_t now_millis, absl::string_view peer_host) {
  std::size_t bytes = 0;
  for (const absl::string_view occurrence : occurrences) bytes += occurrence.size();
  // What is dropped hardly ever decides; then the text of the error is right all the same.
  if (bytes > model::kEncodedPropertyBytesMax) return std::nullopt;

  SystemSlice slice;
  slice.bytes.reserve(bytes + 64 + peer_host.size());
  if (KeepsBytes(properties)) {
    const absl::string_view only = occurrences.front();
    slice.bytes.assign(only.data(), only.size());
    slice.tag = RangeIn(only, properties.tag);
    slice.id = RangeIn(only, properties.message_id);
  } else {
    for (const absl::string_view occurrence : occurrences) CopyFields(occurrence, properties, slice);
  }
  AppendMissing(properties, now_millis, peer_host, slice.bytes);
  return slice;
}

}  // namespace millrace::proxy
