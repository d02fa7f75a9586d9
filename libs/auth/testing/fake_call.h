#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "auth/signing_channel.h"
#include "rpc/transport.h"

namespace millrace::auth::testing_support {

// A call of which only method and headers matter.
class FakeCall final : public rpc::ServerCall {
 public:
  explicit FakeCall(std::string method) : method_(std::move(method)) {}
  void Add(const CallSigner::Headers& headers) {
    for (const auto& [key, value] : headers) headers_[key] = value;
  }

  absl::string_view method() const override { return method_; }
  absl::string_view Header(absl::string_view key) const override {
    const auto found = headers_.find(std::string(key));
    return found == headers_.end() ? absl::string_view() : found->second;
  }
  absl::string_view authority() const override { return {}; }
  absl::string_view peer() const override { return "127.0.0.1:41234"; }
  bool tls() const override { return false; }
  std::optional<std::int64_t> RemainingMillis() const override { return std::nullopt; }
  void SendInitialMetadata() override {}
  bool Write(std::string) override { return false; }
  std::size_t UnsentBytes() const override { return 0; }
  void Finish(const absl::Status&) override {}
  void WriteAndFinish(std::string) override {}
  void OnEnded(std::function<void(rpc::CallEnd)>) override {}

 private:
  const std::string method_;
  std::map<std::string, std::string> headers_;
};

}  // namespace millrace::auth::testing_support
