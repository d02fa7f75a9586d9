#include "naming/held_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace millrace::naming {

class HeldStream::Inbox final : public rpc::ClientStreamHandler {
 public:
  explicit Inbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  void OnMessage(std::string message) override {
    {
      base::MutexLock lock(mu_);
      events_.messages.push_back(std::move(message));
    }
    wake_();
  }

  void OnEnded(const absl::Status& status) override {
    {
      base::MutexLock lock(mu_);
      events_.ended = true;
      events_.cause = std::string(status.message());
    }
    wake_();
  }

  Events Take() {
    base::MutexLock lock(mu_);
    return std::exchange(events_, {});
  }

 private:
  const std::function<void()> wake_;
  base::Mutex mu_;
  Events events_ ABSL_GUARDED_BY(mu_);
};

HeldStream::HeldStream(std::unique_ptr<rpc::Channel> channel, const char* method, std::function<void()> wake)
    : channel_(std::move(channel)), method_(method), wake_(std::move(wake)) {}

HeldStream::~HeldStream() = default;

bool HeldStream::Open(std::int64_t now_millis) {
  if (is_open() || now_millis - opened_millis_ < kReopenMillis) return false;
  opened_millis_ = heard_millis_ = now_millis;
  inbox_ = std::make_shared<Inbox>(wake_);
  stream_ = channel_->OpenStream(method_, {}, inbox_);
  return true;
}

HeldStream::Events HeldStream::Take(std::int64_t now_millis) {
  if (!is_open()) return {};
  Events events = inbox_->Take();
  if (!events.messages.empty()) heard_millis_ = now_millis;
  if (!events.ended && now_millis - heard_millis_ > kSilenceMaxMillis) {
    stream_->Cancel();
    events.ended = true;
    events.cause = absl::StrCat("nothing heard for ", now_millis - heard_millis_, " ms");
  }
  if (events.ended) stream_.reset();
  return events;
}

}  // namespace millrace::naming
