#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "cli/admin_client.h"
#include "cli/command.h"
#include "cli/duration.h"
#include "cli/exit_code.h"
#include "cli/message_client.h"
#include "cli/message_id.h"
#include "cli/output.h"
#include "millrace/v1/admin.pb.h"

namespace millrace::cli {
namespace {

namespace v1 = admin::v1;
namespace v2 = apache::rocketmq::v2;

constexpr int kBatchMax = 32;

struct Flags {
  std::string topic = "millrace-check", group = "millrace-check", wait = "10s";
  int count = 10;
};

// Sends messages and receives them again; what earlier runs left behind is acknowledged on the way.
class Check {
 public:
  Check(Session& session, const Flags& flags)
      : session_(session), flags_(flags), client_(session), run_(base::HexUpper(base::RandomBytes(8))) {}

  int Run() {
    const std::int64_t began = session_.env.clock.MonotonicMillis();
    Outcome outcome = MakeTopic();
    if (outcome.exit_code == kExitOk) outcome = SendAll();
    if (outcome.exit_code == kExitOk) outcome = ReceiveAll(*ParseMillis(flags_.wait));
    if (outcome.exit_code == kExitOk) outcome = client_.Terminate(flags_.group);
    if (outcome.exit_code != kExitOk) return Fail(session_, outcome.exit_code, "check: " + outcome.text);
    Report(session_.env.clock.MonotonicMillis() - began);
    return kExitOk;
  }

 private:
  Outcome MakeTopic() {
    v1::CreateTopicRequest request;
    request.set_name(flags_.topic);
    v1::TopicResponse response;
    const Outcome outcome = AskAdmin(session_, "CreateTopic", request, response);
    return outcome.exit_code == kExitConflict ? Outcome{} : outcome;  // an earlier run has made it
  }

  Outcome SendAll() {
    MessageIds ids = MakeMessageIds();
    for (int i = 0; i < flags_.count; ++i) {
      const std::int64_t now_millis = session_.env.clock.WallMillis();
      const std::string id = ids.Next(now_millis);
      v2::Message message;
      message.mutable_topic()->set_name(flags_.topic);
      message.set_body(absl::StrCat("check ", run_, " ", i + 1, " of ", flags_.count));
      v2::SystemProperties& system = *message.mutable_system_properties();
      system.set_message_id(id);
      system.set_message_type(v2::NORMAL);
      system.set_body_encoding(v2::IDENTITY);
      system.set_born_host("check");
      system.mutable_born_timestamp()->set_seconds(now_millis / 1'000);
      std::int64_t offset = 0;
      const Outcome outcome = client_.Send(message, offset);
      if (outcome.exit_code != kExitOk) {
        return {outcome.exit_code, absl::StrCat("message ", i + 1, " of ", flags_.count, ": ", outcome.text)};
      }
      missing_.insert(id);
    }
    return {};
  }

  Outcome ReceiveAll(std::int64_t wait_millis) {
    while (!missing_.empty()) {
      std::vector<v2::AckMessageEntry> entries;
      Outcome outcome = client_.Receive(flags_.topic, flags_.group, kBatchMax, wait_millis, [&](const auto& message) {
        v2::AckMessageEntry& entry = entries.emplace_back();
        entry.set_message_id(message.system_properties().message_id());
        entry.set_receipt_handle(message.system_properties().receipt_handle());
      });
      if (outcome.exit_code != kExitOk) return outcome;
      if (entries.empty()) {
        return {kExitFailed, absl::StrCat("of ", flags_.count, " messages sent to ", flags_.topic, " ", missing_.size(),
                                          " did not come to group ", flags_.group, " within ", flags_.wait, ", first ",
                                          *missing_.begin(), "; look at `millrace group describe ", flags_.group, "`")};
      }
      outcome = client_.Acknowledge(flags_.topic, flags_.group, entries);
      if (outcome.exit_code != kExitOk) return outcome;
      for (const v2::AckMessageEntry& entry : entries) missing_.erase(entry.message_id());
    }
    return {};
  }

  void Report(std::int64_t took_millis) {
    if (session_.json()) {
      session_.env.out << Text(Json{{"messages", flags_.count}, {"topic", flags_.topic}, {"millis", took_millis}});
    } else {
      session_.env.out << "ok: " << flags_.count << " messages sent, received and acknowledged through "
                       << session_.proxy << " in " << took_millis << " ms\n";
    }
  }

  Session& session_;
  const Flags& flags_;
  MessageClient client_;
  const std::string run_;
  std::set<std::string> missing_;  // ids that were sent and have not come
};

}  // namespace

void AddCheck(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("check", "Send messages and receive them; fail if one is missing");
  const auto flags = std::make_shared<Flags>();
  command->add_option("--count", flags->count, "How many messages")
      ->type_name("N")
      ->check(CLI::Range(1, 100'000).description(""))
      ->capture_default_str();
  command->add_option("--topic", flags->topic, "Topic, which is created if it is not there")
      ->type_name("TOPIC")
      ->capture_default_str();
  command->add_option("--group", flags->group, "Consumer group; no one else should use it")
      ->type_name("GROUP")
      ->capture_default_str();
  command->add_option("--wait", flags->wait, "How long to wait for the next message")
      ->type_name("DURATION")
      ->check(CLI::Validator(CheckDuration, ""))
      ->capture_default_str();
  AddProxyOption(*command, session);
  AddAdminOption(*command, session);
  AddOutputOption(*command, session);
  command->callback([&session, flags] { session.action = [&session, flags] { return Check(session, *flags).Run(); }; });
}

}  // namespace millrace::cli
