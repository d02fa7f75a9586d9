#include <functional>
#include <utility>

#include "services/proxy/link_client.h"

namespace millrace::proxy {
namespace {

class ChannelSink final : public link::FrameSink {
 public:
  explicit ChannelSink(std::unique_ptr<rpc::ClientStream> stream) : stream_(std::move(stream)) {}
  void Write(std::string frame) override { stream_->Write(std::move(frame)); }
  void Close() override { stream_->Cancel(); }
  bool Later(const std::function<void()>& flush) override { return stream_->Soon(flush); }

 private:
  const std::unique_ptr<rpc::ClientStream> stream_;
};

class ChannelFrames final : public rpc::ClientStreamHandler {
 public:
  ChannelFrames(std::shared_ptr<link::Session> session, const base::Clock& clock)
      : session_(std::move(session)), clock_(clock) {}
  void OnMessage(std::string message) override { session_->OnFrame(message, clock_.MonotonicMillis()); }
  void OnEnded(const absl::Status& status) override {
    session_->OnTransportEnded(status.ok() ? absl::UnavailableError("the broker ended the link") : status);
  }

 private:
  const std::shared_ptr<link::Session> session_;
  const base::Clock& clock_;
};

}  // namespace

LinkClient::OpenStream OverChannel(std::shared_ptr<rpc::Channel> channel, const base::Clock& clock) {
  return [channel = std::move(channel), &clock](const std::shared_ptr<link::Session>& session) {
    auto stream =
        channel->OpenStream("/millrace.link.v1.Link/Stream", {}, std::make_shared<ChannelFrames>(session, clock));
    session->Attach(std::make_shared<ChannelSink>(std::move(stream)));
  };
}

}  // namespace millrace::proxy
