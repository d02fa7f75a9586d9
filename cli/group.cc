#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <ostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/admin_client.h"
#include "cli/admin_verbs.h"
#include "cli/command.h"
#include "cli/duration.h"
#include "cli/group_report.h"
#include "cli/output.h"
#include "millrace/v1/admin.pb.h"

namespace millrace::cli {
namespace {

namespace v1 = admin::v1;

const std::map<std::string, v1::LiteModel> kLiteModels = {{"shared", v1::SHARED}, {"exclusive", v1::EXCLUSIVE}};

// "exp", "default", or pauses in milliseconds separated by commas.
std::optional<v1::Backoff> ParseBackoff(const std::string& text) {
  v1::Backoff backoff;
  if (text == "default") return backoff;
  if (text == "exp") {
    backoff.set_exponential(true);
    return backoff;
  }
  for (const absl::string_view pause : absl::StrSplit(text, ',')) {
    std::int64_t millis = 0;
    if (!absl::SimpleAtoi(pause, &millis) || millis < 0) return std::nullopt;
    backoff.add_millis(millis);
  }
  return backoff;
}

struct Flags {
  std::string name, backoff, lite_topic, lite_model, renew_limit;
  std::optional<bool> fifo;
  std::optional<std::uint32_t> max_attempts;
  std::optional<std::int32_t> lite_quota;

  v1::GroupSettings Settings() const {
    v1::GroupSettings settings;
    if (fifo) settings.set_fifo(*fifo);
    if (max_attempts) settings.set_max_attempts(*max_attempts);
    if (!backoff.empty()) *settings.mutable_backoff() = *ParseBackoff(backoff);
    if (!renew_limit.empty()) settings.set_renew_limit_millis(*ParseMillis(renew_limit));
    if (!lite_topic.empty()) settings.set_lite_topic(lite_topic);
    if (!lite_model.empty()) settings.set_lite_model(kLiteModels.at(lite_model));
    if (lite_quota) settings.set_lite_quota(*lite_quota);
    return settings;
  }
};

std::string CheckBackoff(const std::string& text) {
  if (ParseBackoff(text)) return "";
  return "\"" + text + "\" is no backoff; give exp, default, or pauses in milliseconds such as 1000,5000,30000";
}

void AddSettings(CLI::App& command, Flags& flags) {
  command.add_flag("--fifo,!--no-fifo", flags.fifo, "Deliver in order per message group (new: no)");
  command.add_option("--max-attempts", flags.max_attempts, "Deliveries before the dead letter topic (new: 17)")
      ->type_name("N");
  command.add_option("--backoff", flags.backoff, "Pauses between attempts; exp: 5 s doubled up to 2 h (new: default)")
      ->type_name("exp|MS,MS,...|default")
      ->check(CLI::Validator(CheckBackoff, ""));
  command
      .add_option("--renew-limit", flags.renew_limit,
                  "How long the server renews a push consumer's lease, such as 15m; 0: the server's own limit")
      ->type_name("DURATION")
      ->check(CLI::Validator(CheckDuration, ""));
  command.add_option("--lite-topic", flags.lite_topic, "Parent topic of the lite topics that it consumes")
      ->type_name("PARENT");
  command.add_option("--lite-model", flags.lite_model, "Whether clients share a lite topic")
      ->type_name("shared|exclusive")
      ->check(CLI::IsMember(&kLiteModels).description(""));
  command.add_option("--lite-quota", flags.lite_quota, "Lite topics of one client; 0: the server's own limit")
      ->type_name("N");
}

template <typename Request>
int Put(Session& session, const std::string& method, const Flags& flags) {
  Request request;
  request.set_name(flags.name);
  *request.mutable_settings() = flags.Settings();
  v1::GroupResponse response;
  if (const int code = CallAdmin(session, method, request, response); code != kExitOk) return code;
  Table table = GroupTable();
  AddRow(response.group(), table);
  session.env.out << (session.json() ? Text(ToJson(response.group())) : table.Text());
  return kExitOk;
}

int Create(Session& session, const Flags& flags) { return Put<v1::CreateGroupRequest>(session, "CreateGroup", flags); }

int Update(Session& session, const Flags& flags) { return Put<v1::UpdateGroupRequest>(session, "UpdateGroup", flags); }

int List(Session& session) {
  v1::ListGroupsResponse response;
  if (const int code = CallAdmin(session, "ListGroups", v1::ListGroupsRequest(), response); code != kExitOk) {
    return code;
  }
  Json json = Json::array();
  Table table = GroupTable();
  for (const v1::Group& group : response.groups()) {
    json.push_back(ToJson(group));
    AddRow(group, table);
  }
  session.env.out << (session.json() ? Text(json) : table.Text());
  return kExitOk;
}

int Describe(Session& session, const Flags& flags) {
  v1::DescribeGroupRequest request;
  request.set_name(flags.name);
  v1::DescribeGroupResponse response;
  if (const int code = CallAdmin(session, "DescribeGroup", request, response); code != kExitOk) return code;
  session.env.out << (session.json() ? Text(ToJson(response)) : ToTables(response));
  return kExitOk;
}

int Delete(Session& session, const Flags& flags) {
  return DeleteNamed<v1::DeleteGroupRequest, v1::DeleteGroupResponse>(session, "DeleteGroup", "group", flags.name);
}

}  // namespace

void AddGroup(CLI::App& app, Session& session) {
  AdminVerbs<Flags> verbs(app, session, "group", "Create, change, list and delete consumer groups");
  for (const auto& [command, flags] : {verbs.AddNamed("create", "Create a consumer group", Create),
                                       verbs.AddNamed("update", "Change what is given, leave the rest", Update)}) {
    AddSettings(*command, *flags);
  }
  verbs.Add("list", "List all groups", List);
  verbs.AddNamed("describe", "Show a group and how far it is: ready, in flight, waiting, dead letters, ages", Describe);
  verbs.AddNamed("delete", "Delete a group and its progress", Delete);
}

}  // namespace millrace::cli
