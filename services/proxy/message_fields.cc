#include "services/proxy/message_fields.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "model/properties.h"
#include "model/text.h"
#include "services/proxy/wire.h"

namespace millrace::proxy {
namespace {

using model::Error;
using model::ErrorCode;

constexpr std::size_t kFewProperties = 16;  // up to here comparing all pairs is cheaper than a hash table

// What a scan keeps of a field costs more memory than its two bytes on the wire; no client comes near these.
constexpr std::size_t kMessagesMax = 4'096;
constexpr std::size_t kUserEntriesMax = 1'024;  // entries of equal keys included
constexpr std::size_t kSystemOccurrencesMax = 16;

bool ScanText(absl::string_view bytes, absl::string_view& text) {
  text = bytes;
  return model::IsUtf8(bytes);
}

bool ScanResource(absl::string_view bytes, MessageFields& message) {
  WireReader reader(bytes);
  for (WireField field; reader.Next(field);) {
    if (field.Is(1, WireType::kBytes) && !ScanText(field.bytes, message.resource_namespace)) return false;
    if (field.Is(2, WireType::kBytes) && !ScanText(field.bytes, message.topic)) return false;
  }
  return reader.ok();
}

bool ScanUserProperty(const WireField& entry, std::vector<UserProperty>& user) {
  UserProperty& property = user.emplace_back();
  property.raw = entry.raw;
  WireReader reader(entry.bytes);
  for (WireField field; reader.Next(field);) {
    if (field.Is(1, WireType::kBytes) && !ScanText(field.bytes, property.key)) return false;
    if (field.Is(2, WireType::kBytes) && !ScanText(field.bytes, property.value)) return false;
  }
  return reader.ok();
}

bool ScanUserField(const WireField& field, MessageFields& message) {
  message.too_large |= message.user.size() >= kUserEntriesMax;
  return message.too_large || ScanUserProperty(field, message.user);
}

bool ScanSystemField(absl::string_view occurrence, MessageFields& message) {
  message.too_large |=
      occurrence.size() > model::kEncodedPropertyBytesMax || message.system_occurrences.size() >= kSystemOccurrencesMax;
  if (message.too_large) return true;
  message.system_occurrences.push_back(occurrence);
  return ScanSystemProperties(occurrence, message.system);
}

bool AllKeysDiffer(const std::vector<UserProperty>& few) {
  for (std::size_t i = 0; i < few.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (few[i].key == few[j].key) return false;
    }
  }
  return true;
}

// A map keeps the last entry of a key.
void KeepLastOfEachKey(std::vector<UserProperty>& user) {
  if (user.size() <= kFewProperties && AllKeysDiffer(user)) return;
  absl::flat_hash_map<absl::string_view, const UserProperty*> last;
  for (const UserProperty& property : user) last[property.key] = &property;
  std::vector<UserProperty> kept;
  for (const UserProperty& property : user) {
    if (last[property.key] == &property) kept.push_back(property);
  }
  user = std::move(kept);
}

bool ScanMessage(absl::string_view bytes, MessageFields& message) {
  WireReader reader(bytes);
  for (WireField field; reader.Next(field);) {
    if (field.type != WireType::kBytes) continue;
    if (field.number == 1 && !ScanResource(field.bytes, message)) return false;
    if (field.number == 2 && !ScanUserField(field, message)) return false;
    if (field.number == 3 && !ScanSystemField(field.bytes, message)) return false;
    if (field.number == 4) message.body = field.bytes;
  }
  KeepLastOfEachKey(message.user);
  return reader.ok();
}

}  // namespace

std::optional<Error> ScanMessages(absl::string_view request, MessageList& messages) {
  WireReader reader(request);
  bool well_formed = true;
  for (WireField field; well_formed && reader.Next(field);) {
    if (!field.Is(1, WireType::kBytes)) continue;
    if (messages.size() == kMessagesMax) {
      return Error{ErrorCode::kPayloadTooLarge,
                   absl::StrCat("the request holds more than ", kMessagesMax, " messages: send smaller batches")};
    }
    well_formed = ScanMessage(field.bytes, messages.emplace_back());
  }
  if (well_formed && reader.ok()) return std::nullopt;
  return Error{ErrorCode::kMessageCorrupted,
               absl::StrCat("the ", request.size(),
                            " bytes of the request are not a SendMessageRequest: a field is "
                            "cut off, or a text is not UTF-8")};
}

}  // namespace millrace::proxy
