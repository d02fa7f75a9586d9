#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include "cli/admin_client.h"
#include "cli/message.h"
#include "cli/message_report.h"
#include "millrace/v1/admin.pb.h"

namespace millrace::cli {
namespace {

namespace v1 = admin::v1;

struct Flags {
  std::string topic;
  std::uint32_t queue = 0;
  std::int64_t offset = 0;
};

int Get(Session& session, const Flags& flags) {
  v1::GetMessageRequest request;
  request.set_topic(flags.topic);
  request.set_queue(flags.queue);
  request.set_offset(flags.offset);
  v1::GetMessageResponse response;
  if (const int code = CallAdmin(session, "GetMessage", request, response); code != kExitOk) return code;
  session.env.out << (session.json() ? Text(ToJson(response.message())) : ToText(response.message()));
  return kExitOk;
}

}  // namespace

void AddMessageGet(CLI::App& noun, Session& session) {
  CLI::App* command = noun.add_subcommand("get", "Show one stored message; nothing about its delivery changes");
  const auto flags = std::make_shared<Flags>();
  command->add_option("TOPIC", flags->topic, "Full name of the topic")->required();
  command->add_option("QUEUE", flags->queue, "Number of the queue")->required();
  command->add_option("OFFSET", flags->offset, "Queue offset")->required();
  AddAdminOption(*command, session);
  AddOutputOption(*command, session);
  command->callback([&session, flags] { session.action = [&session, flags] { return Get(session, *flags); }; });
}

}  // namespace millrace::cli
