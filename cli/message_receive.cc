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

// Receives for one run of the command.
class Receiver {
 public:
  Receiver(Session& session, const Flags& flags) : session_(session), flags_(flags), client_(session) {}

  int Run() {
    Outcome outcome = flags_.no_ack ? Look() : Consume();
    if (outcome.exit_code == kExitOk) outcome = client_.Terminate(flags_.group);
    if (outcome.exit_code != kExitOk) return Fail(session_, outcome.exit_code, outcome.text);
    if (received_ == 0) session_.env.err << "millrace: no message within " << flags_.wait << "\n";
    return kExitOk;
  }

 private:
  // What one answer brought is printed first and acknowledged then: what was not printed is never lost.
  Outcome Consume() {
    while (flags_.max == 0 || received_ < flags_.max) {
      Outcome outcome = ReceiveOnce(flags_.max);
      if (entries_.empty()) return outcome;
      const Outcome acknowledged = client_.Acknowledge(flags_.topic, flags_.group, entries_);
      if (outcome.exit_code == kExitOk) outcome = acknowledged;
      if (outcome.exit_code != kExitOk) return outcome;
      entries_.clear();
    }
    return {};
  }

  // Holds what it has seen until the end, so that nothing comes twice, then gives it back.
  Outcome Look() {
    const int max = flags_.max == 0 ? kBatchMax : flags_.max;
    Outcome outcome;
    while (received_ < max && outcome.exit_code == kExitOk) {
      const int before = received_;
      outcome = ReceiveOnce(max);
      if (received_ == before) break;
    }
    for (const v2::AckMessageEntry& entry : entries_) {
      const Outcome given_back = client_.GiveBack(flags_.topic, flags_.group, entry);
      if (outcome.exit_code == kExitOk) outcome = given_back;
    }
    return outcome;
  }

  Outcome ReceiveOnce(int max) {
    const int batch = max == 0 ? kBatchMax : std::min(kBatchMax, max - received_);
    return client_.Receive(flags_.topic, flags_.group, batch, *ParseMillis(flags_.wait),
                           [this](const v2::Message& message) {
                             Print(session_, message, received_++ == 0);
                             v2::AckMessageEntry& entry = entries_.emplace_back();
                             entry.set_message_id(message.system_properties().message_id());
                             entry.set_receipt_handle(message.system_properties().receipt_handle());
                           });
  }

  Session& session_;
  const Flags& flags_;
  MessageClient client_;
  int received_ = 0;
  std::vector<v2::AckMessageEntry> entries_;  // printed, neither acknowledged nor given back
};

int Receive(Session& session, const Flags& flags) { return Receiver(session, flags).Run(); }

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
  command->add_flag("--no-ack", flags->no_ack,
                    "Only look: give the messages back at the end; at most 32, unless --max says more");
  AddProxyOption(*command, session);
  AddOutputOption(*command, session);
  command->callback([&session, flags] { session.action = [&session, flags] { return Receive(session, *flags); }; });
}

}  // namespace millrace::cli
