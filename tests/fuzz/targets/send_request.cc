// The scan of a SendMessageRequest, beside a full decode of the same bytes.
#include <string>

#include "apache/rocketmq/v2/service.pb.h"
#include "base/digest.h"
#include "google/protobuf/stubs/logging.h"
#include "model/stored_message.h"
#include "services/proxy/ingress.h"
#include "tests/fuzz/fuzz.h"

namespace millrace {
namespace {

namespace v2 = apache::rocketmq::v2;

bool IsNoRequest(const model::Error& error) {
  return error.text.find("are not a SendMessageRequest") != error.text.npos;
}

void CheckStored(const proxy::IngressMessage& message) {
  const auto view = model::ParseStoredMessage(message.stored);
  MR_CHECK(view.has_value());
  v2::Message user;
  MR_CHECK(user.ParseFromArray(view->user.data(), static_cast<int>(view->user.size())));
  v2::SystemProperties system;
  MR_CHECK(system.ParseFromArray(view->system.data(), static_cast<int>(view->system.size())));
  MR_CHECK(system.message_id() == message.message_id && view->id == message.message_id);
  MR_CHECK(view->tag.value_or("") == message.tag && system.tag() == message.tag);
  MR_CHECK(view->md5 == base::Md5(view->body));
}

void Run(absl::string_view bytes) {
  v2::SendMessageRequest request;
  const bool decodes = request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  const proxy::IngressContext context{
      .default_namespace = {}, .peer_host = "10.9.8.7", .now_millis = 1'700'000'000'000};
  const auto send = proxy::ScanSendRequest(bytes, context, {});
  if (!send.ok()) {
    MR_CHECK(!send.error().text.empty());
    MR_CHECK(!(decodes && IsNoRequest(send.error())));
    return;
  }
  MR_CHECK(!send->topic.empty() && !send->messages.empty());
  if (decodes) MR_CHECK(static_cast<int>(send->messages.size()) == request.messages_size());
  for (std::size_t i = 0; i < send->messages.size(); ++i) {
    CheckStored(send->messages[i]);
    if (!decodes) continue;
    const v2::Message& message = request.messages(static_cast<int>(i));
    MR_CHECK(send->messages[i].message_id == message.system_properties().message_id());
    MR_CHECK(model::ParseStoredMessage(send->messages[i].stored)->body == message.body());
  }
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const google::protobuf::LogSilencer silencer;  // the parser logs each text that is not UTF-8
  millrace::Run(millrace::fuzz::View(data, size));
  return 0;
}
