#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/duration.h"
#include "cli/exit_code.h"
#include "cli/message.h"
#include "cli/message_client.h"
#include "cli/message_report.h"

namespace millrace::cli {
namespace {

namespace v2 = apache::rocketmq::v2;

constexpr int kBatchMax = 32;

struct Flags {
  std::string topic, group, wait = "5s";
  int max = 0;
  bool no_ack = false;
};

// Fixed widths: rows are printed as they come.
void Print(Session& session, const v2::Message& message, bool first) {
  if (session.json()) {
    session.env.out << Line(ToJson(message)) << std::flush;
    return;
  }
  const v2::SystemProperties& system = message.system_properties();
  constexpr char kRow[] = "%-5s  %-8s  %-7s  %-12s  %s\n";
  if (first) session.env.out << absl::StrFormat(kRow, "QUEUE", "OFFSET", "ATTEMPT", "TAG", "BODY");
  session.env.out << absl::StrFormat(kRow, absl::StrCat(system.queue_id()), absl::StrCat(system.queue_offset()),
                                     absl::StrCat(system.delivery_attempt()),
                                     system.has_tag() ? OneLine(system.tag()) : "-", OneLine(message.body()))
                  << std::flush;
}

// What one answer brought is printed first and acknowledged then: a message that was not printed is never lost.
Outcome ReceiveAll(Session& session, const Flags& flags, MessageClient& client, int& received) {
  const std::int64_t wait_millis = *ParseMillis(flags.wait);
  while (flags.max == 0 || received < flags.max) {
    const int batch = flags.max == 0 ? kBatchMax : std::min(kBatchMax, flags.max - received);
    std::vector<v2::AckMessageEntry> entries;
    Outcome outcome =
        client.Receive(flags.topic, flags.group, batch, wait_millis, [&](const v2::Message& message) {
          Print(session, message, received++ == 0);
          v2::AckMessageEntry& entry = entries.emplace_back();
          entry.set_message_id(message.system_properties().message_id());
          entry.set_receipt_handle(message.system_properties().receipt_handle());
        });
    if (!flags.no_ack && !entries.empty()) {
      const Outcome acknowledged = client.Acknowledge(flags.topic, flags.group, entries);
      if (outcome.exit_code == kExitOk) outcome = acknowledged;
    }
    if (outcome.exit_code != kExitOk || entries.empty()) return outcome;
  }
  return {};
}

int Receive(Session& session, const Flags& flags) {
  MessageClient client(session);
  int received = 0;
  Outcome outcome = ReceiveAll(session, flags, client, received);
  if (outcome.exit_code == kExitOk) outcome = client.Terminate(flags.group);
  if (outcome.exit_code != kExitOk) return Fail(session, outcome.exit_code, outcome.text);
  if (received == 0) session.env.err << "millrace: no message within " << flags.wait << "\n";
  return kExitOk;
}

}  // namespace

void AddMessageReceive(CLI::App& noun, Session& session) {
  CLI::App* command = noun.add_subcommand("receive", "Receive messages as a member of a group and acknowledge them");
  const auto flags = std::make_shared<Flags>();
  command->add_option("TOPIC", flags->topic, "Full name of the topic")->required();
  command->add_option("--group", flags->group, "Consumer group")->type_name("GROUP")->required();
  command->add_option("--max", flags->max, "Stop after so many messages; 0: when none has come for --wait")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber.description(""))
      ->capture_default_str();
  command->add_option("--wait", flags->wait, "How long to wait for the next message, such as 500ms or 5s")
      ->type_name("DURATION")
      ->check(CLI::Validator(CheckDuration, ""))
      ->capture_default_str();
  command->add_flag("--no-ack", flags->no_ack, "Do not acknowledge: they are visible again a second after the end");
  AddProxyOption(*command, session);
  AddOutputOption(*command, session);
  command->callback([&session, flags] { session.action = [&session, flags] { return Receive(session, *flags); }; });
}

}  // namespace millrace::cli
