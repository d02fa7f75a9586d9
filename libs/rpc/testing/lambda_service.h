#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "rpc/transport.h"

// A service made of lambdas, and a client that keeps what it gets. For tests.
namespace millrace::rpc {

// A queue between threads, so that a test waits for what it expects and not for time.
template <typename T>
class Mailbox {
 public:
  void Put(T value) {
    base::MutexLock lock(mu_);
    values_.push_back(std::move(value));
    changed_.NotifyAll();
  }
  T Take() {
    base::MutexLock lock(mu_);
    while (values_.empty()) changed_.Wait(mu_);
    T value = std::move(values_.front());
    values_.erase(values_.begin());
    return value;
  }
  std::size_t size() {
    base::MutexLock lock(mu_);
    return values_.size();
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  std::vector<T> values_;
};

class LambdaStream final : public StreamHandler {
 public:
  std::function<void(std::string)> on_message;
  std::function<void()> on_half_close;
  std::function<void()> on_destroyed;
  ~LambdaStream() override {
    if (on_destroyed) on_destroyed();
  }
  void OnMessage(std::string message) override { on_message(std::move(message)); }
  void OnHalfClose() override { on_half_close(); }
};

using Call = std::shared_ptr<ServerCall>;

class LambdaService final : public Service {
 public:
  std::map<std::string, std::function<void(Call, std::string)>, std::less<>> unary, server_stream;
  std::map<std::string, std::function<std::unique_ptr<StreamHandler>(Call)>, std::less<>> bidi;
  std::vector<std::string> frequent;

  std::optional<CallKind> Kind(absl::string_view method) const override {
    const std::string key(method);
    if (unary.contains(key)) return CallKind::kUnary;
    if (server_stream.contains(key)) return CallKind::kServerStream;
    if (bidi.contains(key)) return CallKind::kBidi;
    return std::nullopt;
  }
  std::vector<std::string> FrequentMethods() const override { return frequent; }
  void OnRequest(Call call, absl::string_view message) override {
    const std::string key(call->method());
    const auto found = unary.find(key);
    (found != unary.end() ? found->second : server_stream.at(key))(call, std::string(message));
  }
  std::unique_ptr<StreamHandler> OnStream(Call call) override {
    return bidi.at(std::string(call->method()))(std::move(call));
  }
};

struct Collected final : ClientStreamHandler {
  Mailbox<std::string> messages;
  Mailbox<absl::Status> ends;
  void OnMessage(std::string message) override { messages.Put(std::move(message)); }
  void OnEnded(const absl::Status& status) override { ends.Put(status); }
};

}  // namespace millrace::rpc
