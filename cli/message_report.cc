#include "cli/message_report.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/names.h"

namespace millrace::cli {
namespace {

namespace v2 = apache::rocketmq::v2;

std::string TimeOf(const google::protobuf::Timestamp& time) {
  return TimeText(time.seconds() * 1'000 + time.nanos() / 1'000'000);
}

// In the order of their names: the map of a message has none.
std::map<std::string, std::string> SortedProperties(const v2::Message& message) {
  return {message.user_properties().begin(), message.user_properties().end()};
}

}  // namespace

std::string FullName(const v2::Resource& resource) {
  return model::WrapNamespace(resource.resource_namespace(), resource.name());
}

Json ToJson(const v2::Message& message) {
  const v2::SystemProperties& system = message.system_properties();
  Json json{{"topic", FullName(message.topic())},
            {"queue", system.queue_id()},
            {"offset", system.queue_offset()},
            {"message_id", system.message_id()},
            {"type", v2::MessageType_Name(system.message_type())},
            {"encoding", v2::Encoding_Name(system.body_encoding())}};
  if (system.has_delivery_attempt()) json["attempt"] = system.delivery_attempt();
  if (system.has_tag()) json["tag"] = system.tag();
  json["keys"] = Json::array();
  for (const std::string& key : system.keys()) json["keys"].push_back(key);
  json["properties"] = Json::object();
  for (const auto& [key, value] : SortedProperties(message)) json["properties"][key] = value;
  json["born"] = TimeOf(system.born_timestamp());
  json["born_host"] = system.born_host();
  json["stored"] = TimeOf(system.store_timestamp());
  if (system.has_dead_letter_queue()) json["dead_letter_of"] = system.dead_letter_queue().topic();
  PutBody(message.body(), json);
  return json;
}

std::string ToText(const v2::Message& message) {
  const v2::SystemProperties& system = message.system_properties();
  Table table({"TOPIC", FullName(message.topic())});
  table.Add({"QUEUE", absl::StrCat(system.queue_id())});
  table.Add({"OFFSET", absl::StrCat(system.queue_offset())});
  table.Add({"MESSAGE-ID", system.message_id()});
  table.Add({"TYPE", v2::MessageType_Name(system.message_type())});
  table.Add({"TAG", system.has_tag() ? OneLine(system.tag()) : "-"});
  table.Add({"KEYS", system.keys().empty() ? "-" : OneLine(absl::StrJoin(system.keys(), " "))});
  for (const auto& [key, value] : SortedProperties(message)) {
    table.Add({"PROPERTY", absl::StrCat(OneLine(key), "=", OneLine(value))});
  }
  table.Add({"BORN", absl::StrCat(TimeOf(system.born_timestamp()), " at ", system.born_host())});
  table.Add({"STORED", TimeOf(system.store_timestamp())});
  if (system.has_dead_letter_queue()) table.Add({"DEAD-LETTER-OF", system.dead_letter_queue().topic()});
  table.Add({"BYTES", absl::StrCat(message.body().size())});
  table.Add({"BODY", OneLine(message.body())});
  return table.Text();
}

}  // namespace millrace::cli
