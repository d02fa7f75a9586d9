#include "services/proxy/telemetry_handler.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/proxy/answers.h"
#include "services/proxy/durations.h"
#include "services/proxy/settings.h"

namespace millrace::proxy {
namespace {

namespace v2 = apache::rocketmq::v2;

constexpr std::int64_t kLookAgainMillis = 20'000;
constexpr std::int64_t kRequestTimeoutMillis = 3'000;
constexpr std::size_t kLabelBytesMax = 32;

SettingsContext ContextOf(const ServiceParts& parts, const RequestContext& context) {
  return {.default_namespace = context.default_namespace(),
          .language = context.language(),
          .version = context.client_version(),
          .body_bytes_max = static_cast<std::int32_t>(parts.options.limits.body_bytes_max)};
}

GroupSettings SettingsOfGroup(const core::GroupConfig& config) {
  GroupSettings group;
  group.fifo = config.fifo;
  group.retry = {.max_attempts = static_cast<std::int32_t>(config.max_attempts),
                 .exponential = config.exponential_backoff,
                 .backoff_millis = config.backoff_millis};
  if (config.lite_quota > 0) group.lite_subscription_quota = config.lite_quota;
  return group;
}

bool MeanTheSame(const core::GroupConfig& a, const core::GroupConfig& b) {
  return a.fifo == b.fifo && a.max_attempts == b.max_attempts && a.exponential_backoff == b.exponential_backoff &&
         a.backoff_millis == b.backoff_millis && a.lite_quota == b.lite_quota;
}

// What a client says about itself, as a label of metrics: short, printable, in lower case.
std::string LabelOf(absl::string_view header) {
  std::string label = absl::AsciiStrToLower(header.substr(0, kLabelBytesMax));
  for (char& c : label) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return label.empty() ? "unknown" : label;
}

class Handler final : public rpc::StreamHandler {
 public:
  explicit Handler(std::shared_ptr<TelemetryStream> stream) : stream_(std::move(stream)) {}
  void OnMessage(std::string message) override { stream_->OnMessage(message); }
  void OnHalfClose() override { stream_->OnHalfClose(); }

 private:
  const std::shared_ptr<TelemetryStream> stream_;
};

// Topics of a subscription, looked up one after the other until one is not ordered.
class FifoTopics : public std::enable_shared_from_this<FifoTopics> {
 public:
  FifoTopics(Directory& directory, std::vector<std::string> topics, std::function<void(bool)> then)
      : directory_(directory), topics_(std::move(topics)), then_(std::move(then)) {}

  void Next() {
    if (at_ == topics_.size()) return then_(!topics_.empty());
    directory_.FindTopic(topics_[at_++], [self = shared_from_this()](const model::Result<Directory::RoutePtr>& route) {
      if (!route.ok() || (*route)->config.type != core::TopicType::kFifo) return self->then_(false);
      self->Next();
    });
  }

 private:
  Directory& directory_;
  const std::vector<std::string> topics_;
  const std::function<void(bool)> then_;
  std::size_t at_ = 0;
};

}  // namespace

std::unique_ptr<rpc::StreamHandler> HandlerOf(std::shared_ptr<TelemetryStream> stream) {
  return std::make_unique<Handler>(std::move(stream));
}

void TelemetryStream::Start() {
  ++parts_.metrics.telemetry_streams;
  context_.call().OnEnded([self = shared_from_this()](rpc::CallEnd end) {
    int code = end == rpc::CallEnd::kFinished ? kOk : RpcMetrics::kCancelled;
    {
      base::MutexLock lock(self->mu_);
      self->ended_ = true;
      if (self->end_code_ != 0) code = self->end_code_;
    }
    NoteEnd(self->parts_, self->context_, code);
    --self->parts_.metrics.telemetry_streams;
    self->parts_.clients.RemoveStream(self->context_.client_id(), self.get());
  });
  // One SDK waits for the headers before it writes its settings.
  context_.call().SendInitialMetadata();
  if (const auto error = Admit(parts_, context_)) {
    refused_ = true;
    NoteRefused(*error);
    context_.call().Write(ErrorAnswer(*error));
    return context_.call().Finish(absl::OkStatus());
  }
  parts_.clients.AddStream(context_.client_id(), shared_from_this());
}

void TelemetryStream::OnMessage(const std::string& bytes) {
  if (refused_) return;  // this came before the client knew
  v2::TelemetryCommand command;
  if (!command.ParseFromString(bytes)) {
    return RefuseSettings(
        {model::ErrorCode::kBadRequest, absl::StrCat("the ", bytes.size(),
                                                     " bytes do not decode as a TelemetryCommand: use the "
                                                     "protos of apache.rocketmq.v2")});
  }
  if (command.has_settings()) return OnSettings(command.settings());
  parts_.clients.Saw(context_.client_id(), "");
}

void TelemetryStream::OnHalfClose() {
  {
    base::MutexLock lock(mu_);
    half_closed_ = true;
  }
  FinishIfDone();
}

// Settings that the client wrote before it closed its side are answered before the stream ends.
void TelemetryStream::FinishIfDone() {
  {
    base::MutexLock lock(mu_);
    if (!half_closed_ || unanswered_ > 0) return;
  }
  context_.call().Finish(absl::OkStatus());
}

void TelemetryStream::Close(const absl::Status& status) { context_.call().Finish(status); }

void TelemetryStream::NoteRefused(const model::Error& error) {
  NoteRefusal(parts_, context_, error);
  base::MutexLock lock(mu_);
  end_code_ = error.number();
}

void TelemetryStream::RefuseSettings(const model::Error& error) {
  NoteRefused(error);
  context_.call().Write(ErrorAnswer(error));
  context_.call().Finish(
      absl::InvalidArgumentError(absl::StrCat(CodeName(error.number()), " (", error.number(), "): ", error.text)));
}

void TelemetryStream::OnSettings(const v2::Settings& settings) {
  if (const auto error = ValidateSettings(settings, ContextOf(parts_, context_))) return RefuseSettings(*error);
  const auto kept = std::make_shared<const v2::Settings>(settings);
  const std::string group = GroupName(settings);
  parts_.clients.PutSettings(context_.client_id(), {.client_type = settings.client_type(),
                                                    .group = group,
                                                    .language = LabelOf(context_.language()),
                                                    .version = LabelOf(context_.client_version()),
                                                    .request_timeout_millis = settings.has_request_timeout()
                                                                                  ? MillisOf(settings.request_timeout())
                                                                                  : kRequestTimeoutMillis});
  parts_.clients.AddStream(context_.client_id(), shared_from_this());
  bool ended = false;
  {
    base::MutexLock lock(mu_);
    ++unanswered_;
    ended = ended_;
  }
  if (ended) return parts_.clients.RemoveStream(context_.client_id(), this);
  if (group.empty()) return AnswerSettings(kept, nullptr);
  FindGroupOf(kept, [self = shared_from_this(), kept](const model::Result<Directory::GroupPtr>& found) {
    self->AnswerSettings(kept, found.ok() ? *found : nullptr);
  });
}

std::string TelemetryStream::GroupName(const v2::Settings& settings) const {
  return GroupOf(settings, ContextOf(parts_, context_));
}

void TelemetryStream::FindGroupOf(const SettingsPtr& settings, Directory::GroupCallback then) {
  std::vector<std::string> topics;
  for (const v2::SubscriptionEntry& entry : settings->subscription().subscriptions()) {
    if (auto topic = context_.Topic(entry.topic()); topic.ok()) topics.push_back(*std::move(topic));
  }
  std::string group = GroupName(*settings);
  std::make_shared<FifoTopics>(parts_.directory, std::move(topics),
                               [&directory = parts_.directory, group = std::move(group),
                                then = std::move(then)](bool fifo) { directory.FindGroup(group, fifo, then); })
      ->Next();
}

void TelemetryStream::AnswerSettings(const SettingsPtr& settings, const Directory::GroupPtr& group) {
  WriteSettings(*settings, group == nullptr ? core::GroupConfig{} : *group);
  {
    base::MutexLock lock(mu_);
    --unanswered_;
    settings_ = settings;
    answered_with_.reset();
    if (group != nullptr) answered_with_ = *group;
    looked_millis_ = parts_.clock.MonotonicMillis();
  }
  FinishIfDone();
}

void TelemetryStream::WriteSettings(const v2::Settings& settings, const core::GroupConfig& group) {
  context_.call().Write(
      MakeSettingsReply(settings, SettingsOfGroup(group), ContextOf(parts_, context_)).SerializeAsString());
}

void TelemetryStream::Refresh() {
  SettingsPtr settings;
  {
    base::MutexLock lock(mu_);
    if (settings_ == nullptr || !settings_->has_subscription()) return;
    const std::int64_t now = parts_.clock.MonotonicMillis();
    if (answered_with_ && now - looked_millis_ < kLookAgainMillis) return;
    looked_millis_ = now;
    settings = settings_;
  }
  FindGroupOf(settings, [self = shared_from_this(), settings](const model::Result<Directory::GroupPtr>& found) {
    if (!found.ok()) return;
    {
      base::MutexLock lock(self->mu_);
      const core::GroupConfig before = self->answered_with_.value_or(core::GroupConfig{});
      self->answered_with_ = **found;
      if (MeanTheSame(before, **found)) return;
    }
    self->WriteSettings(*settings, **found);
  });
}

}  // namespace millrace::proxy
