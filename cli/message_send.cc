#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <istream>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "cli/exit_code.h"
#include "cli/message.h"
#include "cli/message_client.h"
#include "cli/message_id.h"
#include "cli/message_report.h"

namespace millrace::cli {
namespace {

namespace v2 = apache::rocketmq::v2;

struct Flags {
  std::string topic, tag, file;
  std::optional<std::string> body;
  std::vector<std::string> keys, properties;
};

std::string CheckProperty(const std::string& text) {
  if (text.find('=') != std::string::npos && text[0] != '=') return "";
  return "\"" + text + "\" is no property; give NAME=VALUE";
}

// Sends one body after the other with the same tag, keys and properties.
class Sender {
 public:
  Sender(Session& session, const Flags& flags) : session_(session), client_(session), ids_(MakeMessageIds()) {
    message_.mutable_topic()->set_name(flags.topic);
    for (const std::string& property : flags.properties) {
      const std::size_t at = property.find('=');
      (*message_.mutable_user_properties())[property.substr(0, at)] = property.substr(at + 1);
    }
    v2::SystemProperties& system = *message_.mutable_system_properties();
    if (!flags.tag.empty()) system.set_tag(flags.tag);
    for (const std::string& key : flags.keys) system.add_keys(key);
    system.set_body_encoding(v2::IDENTITY);
    system.set_message_type(v2::NORMAL);
    char host[256] = {};
    system.set_born_host(gethostname(host, sizeof host - 1) == 0 ? host : "localhost");
  }

  int Send(std::string body) {
    const std::int64_t now_millis = session_.env.clock.WallMillis();
    v2::SystemProperties& system = *message_.mutable_system_properties();
    system.set_message_id(ids_.Next(now_millis));
    system.mutable_born_timestamp()->set_seconds(now_millis / 1'000);
    system.mutable_born_timestamp()->set_nanos(static_cast<std::int32_t>(now_millis % 1'000 * 1'000'000));
    message_.set_body(std::move(body));
    std::int64_t offset = 0;
    const Outcome outcome = client_.Send(message_, offset);
    if (outcome.exit_code != kExitOk) {
      return Fail(session_, outcome.exit_code,
                  absl::StrCat(outcome.text, "; sent before it: ", sent_, sent_ == 1 ? " message" : " messages"));
    }
    ++sent_;
    if (session_.json()) {
      session_.env.out << Line(Json{{"message_id", system.message_id()}, {"offset", offset}});
    } else {
      session_.env.out << "sent " << system.message_id() << " offset " << offset << "\n";
    }
    session_.env.out.flush();
    return kExitOk;
  }

 private:
  Session& session_;
  MessageClient client_;
  MessageIds ids_;
  v2::Message message_;
  int sent_ = 0;
};

// One message per line. Empty lines are left out: a message needs a body.
int SendLines(std::istream& in, Session& session, Sender& sender) {
  int skipped = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) {
      ++skipped;
    } else if (const int code = sender.Send(line); code != kExitOk) {
      return code;
    }
  }
  if (skipped > 0) session.env.err << "millrace: left out " << skipped << " empty lines: a message needs a body\n";
  return kExitOk;
}

int Send(Session& session, const Flags& flags) {
  Sender sender(session, flags);
  if (flags.body) return sender.Send(*flags.body);
  if (flags.file.empty()) return SendLines(session.env.in, session, sender);
  std::ifstream file(flags.file, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) return Fail(session, kExitNotFound, "cannot read " + flags.file + "; give a file with at least one byte");
  return sender.Send(content.str());
}

}  // namespace

void AddMessageSend(CLI::App& noun, Session& session) {
  CLI::App* command = noun.add_subcommand("send", "Send a text, a file, or each line of standard input");
  const auto flags = std::make_shared<Flags>();
  command->add_option("TOPIC", flags->topic, "Full name of the topic")->required();
  CLI::Option* body = command->add_option("--body", flags->body, "Text of one message")->type_name("TEXT");
  command->add_option("--file", flags->file, "File whose bytes are one message")->type_name("FILE")->excludes(body);
  command->add_option("--tag", flags->tag, "Tag, for filters")->type_name("TAG");
  command->add_option("--key", flags->keys, "Key, for queries; may be repeated")
      ->type_name("KEY")
      ->expected(1)
      ->take_all();
  command->add_option("--property", flags->properties, "Property of your own; may be repeated")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all()
      ->check(CLI::Validator(CheckProperty, ""));
  AddProxyOption(*command, session);
  AddOutputOption(*command, session);
  command->callback([&session, flags] { session.action = [&session, flags] { return Send(session, *flags); }; });
}

}  // namespace millrace::cli
