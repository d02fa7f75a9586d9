#include "auth/signing_channel.h"

#include <utility>

#include "auth/refusal_notes.h"
#include "base/clock.h"
#include "base/log.h"

namespace millrace::auth {
namespace {

// What streams in flight share with their channel, which may go before their handler's end is over.
struct Refusals {
  explicit Refusals(std::string other_side) : target(std::move(other_side)) {}
  const std::string target;
  const base::SystemClock clock;
  RefusalNotes notes;

  void Look(absl::string_view method, const absl::Status& status) {
    if (!absl::IsUnauthenticated(status)) return;
    const auto left_out = notes.Note(clock.MonotonicMillis());
    if (!left_out) return;
    MR_LOG(Error, "another process refuses this one",
           {{"target", target}, {"method", method}, {"cause", status.message()}, {"left_out", *left_out}});
  }
};

// Passes everything on, and looks at the end.
class Watched final : public rpc::ClientStreamHandler {
 public:
  Watched(std::string method, std::shared_ptr<rpc::ClientStreamHandler> handler, std::shared_ptr<Refusals> refusals)
      : method_(std::move(method)), handler_(std::move(handler)), refusals_(std::move(refusals)) {}
  void OnMessage(std::string message) override { handler_->OnMessage(std::move(message)); }
  void OnEnded(const absl::Status& status) override {
    refusals_->Look(method_, status);
    std::exchange(handler_, nullptr)->OnEnded(status);  // it may own this call, so the call must not keep it
  }

 private:
  const std::string method_;
  std::shared_ptr<rpc::ClientStreamHandler> handler_;
  const std::shared_ptr<Refusals> refusals_;
};

class SigningChannel final : public rpc::Channel {
 public:
  SigningChannel(std::unique_ptr<rpc::Channel> channel, std::shared_ptr<const CallSigner> signer,
                 const std::string& target)
      : channel_(std::move(channel)), signer_(std::move(signer)), refusals_(std::make_shared<Refusals>(target)) {}

  std::unique_ptr<rpc::ClientStream> OpenStream(absl::string_view method, rpc::HeaderList headers,
                                                std::shared_ptr<rpc::ClientStreamHandler> handler) override {
    const CallSigner::Headers more = signer_->HeadersFor(method);
    return channel_->OpenStream(
        method, Joined(headers, more),
        std::make_shared<Watched>(std::string(method.data(), method.size()), std::move(handler), refusals_));
  }

  absl::StatusOr<std::string> CallAndWait(absl::string_view method, rpc::HeaderList headers, std::string request,
                                          std::int64_t timeout_millis) override {
    const CallSigner::Headers more = signer_->HeadersFor(method);
    return channel_->CallAndWait(method, Joined(headers, more), std::move(request), timeout_millis);
  }

 private:
  using Views = std::vector<std::pair<absl::string_view, absl::string_view>>;

  static Views Joined(rpc::HeaderList headers, const CallSigner::Headers& more) {
    Views all(headers.begin(), headers.end());
    for (const auto& [key, value] : more) all.emplace_back(key, value);
    return all;
  }

  const std::unique_ptr<rpc::Channel> channel_;
  const std::shared_ptr<const CallSigner> signer_;
  const std::shared_ptr<Refusals> refusals_;
};

}  // namespace

std::unique_ptr<rpc::Channel> Signed(std::unique_ptr<rpc::Channel> channel, std::shared_ptr<const CallSigner> signer,
                                     const std::string& target) {
  if (signer == nullptr) return channel;
  return std::make_unique<SigningChannel>(std::move(channel), std::move(signer), target);
}

}  // namespace millrace::auth
