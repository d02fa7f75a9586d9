#include "cli/group_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace millrace::cli {
namespace {

namespace v1 = admin::v1;

std::string BackoffText(const v1::Backoff& backoff) {
  if (backoff.exponential()) return "exp";
  return backoff.millis_size() == 0 ? "default" : absl::StrJoin(backoff.millis(), ",");
}

std::string LiteModelText(v1::LiteModel model) {
  if (model == v1::SHARED) return "shared";
  return model == v1::EXCLUSIVE ? "exclusive" : "";
}

Json ToJson(const v1::Progress& progress) {
  return Json{{"ready", progress.ready()},       {"in_flight", progress.in_flight()},
              {"waiting", progress.waiting()},   {"acknowledged", progress.acknowledged()},
              {"rejected", progress.rejected()}, {"dead_lettered", progress.dead_lettered()},
              {"skipped", progress.skipped()},   {"expired", progress.expired()}};
}

template <typename Message>
void PutAge(const Message& message, Json& json) {
  if (message.has_oldest_open_age_millis()) json["oldest_open_age_millis"] = message.oldest_open_age_millis();
}

Json ToJson(const v1::GroupQueue& queue) {
  Json json = ToJson(queue.progress());
  Json with_place{
      {"queue", queue.queue()}, {"minimum", queue.minimum()}, {"maximum", queue.maximum()}, {"next", queue.next()}};
  with_place.update(json);
  if (queue.has_oldest_open_offset()) with_place["oldest_open_offset"] = queue.oldest_open_offset();
  PutAge(queue, with_place);
  return with_place;
}

Json ToJson(const v1::GroupTopic& topic) {
  Json json{{"topic", topic.topic()}, {"progress", ToJson(topic.progress())}};
  PutAge(topic, json);
  json["queues"] = Json::array();
  for (const v1::GroupQueue& queue : topic.queues()) json["queues"].push_back(ToJson(queue));
  return json;
}

template <typename Message>
std::vector<std::string> ProgressCells(std::vector<std::string> cells, const Message& message, std::string oldest) {
  const v1::Progress& progress = message.progress();
  for (const std::int64_t count : {progress.ready(), progress.in_flight(), progress.waiting(), progress.dead_lettered(),
                                   progress.acknowledged()}) {
    cells.push_back(absl::StrCat(count));
  }
  cells.push_back(std::move(oldest));
  cells.push_back(message.has_oldest_open_age_millis() ? AgeText(message.oldest_open_age_millis()) : "-");
  return cells;
}

}  // namespace

Json ToJson(const v1::Group& group) {
  return Json{{"name", group.name()},
              {"id", absl::StrCat(group.id())},
              {"version", group.version()},
              {"fifo", group.fifo()},
              {"max_attempts", group.max_attempts()},
              {"backoff", BackoffText(group.backoff())},
              {"renew_limit_millis", group.renew_limit_millis()},
              {"lite_topic", group.lite_topic()},
              {"lite_model", LiteModelText(group.lite_model())},
              {"lite_quota", group.lite_quota()},
              {"created", TimeText(group.created_millis())}};
}

Table GroupTable() { return Table({"NAME", "FIFO", "ATTEMPTS", "BACKOFF", "LITE-TOPIC", "CREATED"}); }

void AddRow(const v1::Group& group, Table& table) {
  table.Add({group.name(), group.fifo() ? "yes" : "no", absl::StrCat(group.max_attempts()),
             BackoffText(group.backoff()), group.lite_topic().empty() ? "-" : group.lite_topic(),
             TimeText(group.created_millis())});
}

Json ToJson(const v1::DescribeGroupResponse& response) {
  Json json = ToJson(response.group());
  json["clients"] = response.clients();
  json["progress"] = ToJson(response.progress());
  PutAge(response, json);
  json["topics"] = Json::array();
  for (const v1::GroupTopic& topic : response.topics()) json["topics"].push_back(ToJson(topic));
  return json;
}

std::string ToTables(const v1::DescribeGroupResponse& response) {
  Table group({"NAME", "FIFO", "ATTEMPTS", "BACKOFF", "CLIENTS", "CREATED"});
  group.Add({response.group().name(), response.group().fifo() ? "yes" : "no",
             absl::StrCat(response.group().max_attempts()), BackoffText(response.group().backoff()),
             absl::StrCat(response.clients()), TimeText(response.group().created_millis())});
  Table progress({"TOPIC", "QUEUE", "READY", "IN-FLIGHT", "WAITING", "DEAD", "ACKED", "OLDEST", "AGE"});
  for (const v1::GroupTopic& topic : response.topics()) {
    for (const v1::GroupQueue& queue : topic.queues()) {
      const std::string oldest = queue.has_oldest_open_offset() ? absl::StrCat(queue.oldest_open_offset()) : "-";
      progress.Add(ProgressCells({topic.topic(), absl::StrCat(queue.queue())}, queue, oldest));
    }
    progress.Add(ProgressCells({topic.topic(), "all"}, topic, "-"));
  }
  progress.Add(ProgressCells({"all", "all"}, response, "-"));
  return group.Text() + "\n" + progress.Text();
}

}  // namespace millrace::cli
