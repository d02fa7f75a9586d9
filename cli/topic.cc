#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <ostream>

#include "cli/admin_client.h"
#include "cli/admin_verbs.h"
#include "cli/command.h"
#include "cli/output.h"
#include "millrace/v1/admin.pb.h"

namespace millrace::cli {
namespace {

namespace v1 = admin::v1;

const std::map<std::string, v1::TopicType> kTypes = {
    {"normal", v1::NORMAL},     {"fifo", v1::FIFO}, {"delay", v1::DELAY}, {"transaction", v1::TRANSACTION},
    {"priority", v1::PRIORITY}, {"lite", v1::LITE}, {"mixed", v1::MIXED}};
const std::map<std::string, v1::Access> kAccesses = {
    {"rw", v1::READ_WRITE}, {"r", v1::READ}, {"w", v1::WRITE}, {"none", v1::NONE}};

template <typename Value>
std::string NameOf(const std::map<std::string, Value>& names, Value value) {
  for (const auto& [name, named] : names) {
    if (named == value) return name;
  }
  return "unknown";
}

Json ToJson(const v1::Topic& topic) {
  return Json{{"name", topic.name()},
              {"id", absl::StrCat(topic.id())},
              {"version", topic.version()},
              {"type", NameOf(kTypes, topic.type())},
              {"access", NameOf(kAccesses, topic.access())},
              {"queues", topic.queues()},
              {"created", TimeText(topic.created_millis())}};
}

void AddRow(const v1::Topic& topic, Table& table) {
  table.Add({topic.name(), NameOf(kTypes, topic.type()), NameOf(kAccesses, topic.access()),
             absl::StrCat(topic.queues()), TimeText(topic.created_millis())});
}

Table TopicTable() { return Table({"NAME", "TYPE", "ACCESS", "QUEUES", "CREATED"}); }

struct Flags {
  std::string name, type, access;
  std::optional<std::uint32_t> queues;

  v1::TopicSettings Settings() const {
    v1::TopicSettings settings;
    if (!type.empty()) settings.set_type(kTypes.at(type));
    if (!access.empty()) settings.set_access(kAccesses.at(access));
    if (queues) settings.set_queues(*queues);
    return settings;
  }
};

void AddSettings(CLI::App& command, Flags& flags) {
  command.add_option("--type", flags.type, "Type of message that it takes (new: normal)")
      ->type_name("normal|fifo|delay|transaction|priority|lite|mixed")
      ->check(CLI::IsMember(&kTypes).description(""));
  command.add_option("--queues", flags.queues, "Number of queues (new: 8); can only grow")->type_name("N");
  command.add_option("--access", flags.access, "What clients may do (new: rw)")
      ->type_name("rw|r|w|none")
      ->check(CLI::IsMember(&kAccesses).description(""));
}

template <typename Request>
int Put(Session& session, const std::string& method, const Flags& flags) {
  Request request;
  request.set_name(flags.name);
  *request.mutable_settings() = flags.Settings();
  v1::TopicResponse response;
  if (const int code = CallAdmin(session, method, request, response); code != kExitOk) return code;
  Table table = TopicTable();
  AddRow(response.topic(), table);
  session.env.out << (session.json() ? Text(ToJson(response.topic())) : table.Text());
  return kExitOk;
}

int Create(Session& session, const Flags& flags) { return Put<v1::CreateTopicRequest>(session, "CreateTopic", flags); }

int Update(Session& session, const Flags& flags) { return Put<v1::UpdateTopicRequest>(session, "UpdateTopic", flags); }

int List(Session& session) {
  v1::ListTopicsResponse response;
  if (const int code = CallAdmin(session, "ListTopics", v1::ListTopicsRequest(), response); code != kExitOk) {
    return code;
  }
  Json json = Json::array();
  Table table = TopicTable();
  for (const v1::Topic& topic : response.topics()) {
    json.push_back(ToJson(topic));
    AddRow(topic, table);
  }
  session.env.out << (session.json() ? Text(json) : table.Text());
  return kExitOk;
}

int Describe(Session& session, const Flags& flags) {
  v1::DescribeTopicRequest request;
  request.set_name(flags.name);
  v1::DescribeTopicResponse response;
  if (const int code = CallAdmin(session, "DescribeTopic", request, response); code != kExitOk) return code;
  Json json = ToJson(response.topic());
  Json& queues = json["queue_offsets"] = Json::array();
  Table table = TopicTable();
  AddRow(response.topic(), table);
  Table queue_table({"QUEUE", "MINIMUM", "MAXIMUM", "STORED"});
  for (const v1::TopicQueue& queue : response.queues()) {
    queues.push_back({{"queue", queue.queue()}, {"minimum", queue.minimum()}, {"maximum", queue.maximum()}});
    queue_table.Add({absl::StrCat(queue.queue()), absl::StrCat(queue.minimum()), absl::StrCat(queue.maximum()),
                     absl::StrCat(queue.maximum() - queue.minimum())});
  }
  session.env.out << (session.json() ? Text(json) : table.Text() + "\n" + queue_table.Text());
  return kExitOk;
}

int Delete(Session& session, const Flags& flags) {
  return DeleteNamed<v1::DeleteTopicRequest, v1::DeleteTopicResponse>(session, "DeleteTopic", "topic", flags.name);
}

}  // namespace

void AddTopic(CLI::App& app, Session& session) {
  AdminVerbs<Flags> verbs(app, session, "topic", "Create, change, list and delete topics");
  for (const auto& [command, flags] : {verbs.AddNamed("create", "Create a topic", Create),
                                       verbs.AddNamed("update", "Change what is given, leave the rest", Update)}) {
    AddSettings(*command, *flags);
  }
  verbs.Add("list", "List all topics", List);
  verbs.AddNamed("describe", "Show a topic and the offsets of its queues", Describe);
  verbs.AddNamed("delete", "Delete a topic and its messages", Delete);
}

}  // namespace millrace::cli
