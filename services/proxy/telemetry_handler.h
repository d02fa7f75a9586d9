#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apache/rocketmq/v2/service.pb.h"
#include "base/mutex.h"
#include "services/proxy/client_registry.h"
#include "services/proxy/service_parts.h"

namespace millrace::proxy {

// One Telemetry stream: answers settings, keeps the client's registration, and sends settings again when the group's
// configuration has changed since. Answers of the client to commands of ours, and whatever else it writes, are signs of
// life and nothing more.
// Settings of a consumer wait for its group's configuration (the SDKs decide about ordered consumption from the first
// answer only), but at most until the directory gives up; then they go out with defaults and again when it is known.
// Lifetime. Shared by the call, the registry and lookups in flight.
class TelemetryStream final : public CommandStream, public std::enable_shared_from_this<TelemetryStream> {
 public:
  TelemetryStream(const ServiceParts& parts, RequestContext context) : parts_(parts), context_(std::move(context)) {}

  void Start();
  void OnMessage(const std::string& bytes);
  void OnHalfClose();

  void Close(const absl::Status& status) override;
  void Refresh() override;

 private:
  using SettingsPtr = std::shared_ptr<const apache::rocketmq::v2::Settings>;

  void OnSettings(const apache::rocketmq::v2::Settings& settings);
  void RefuseSettings(const model::Error& error);
  // Whether an ordered group is meant, should it not exist yet: all of its topics are ordered ones.
  void FindGroupOf(const SettingsPtr& settings, Directory::GroupCallback then);
  void AnswerSettings(const SettingsPtr& settings, const Directory::GroupPtr& group);
  void WriteSettings(const apache::rocketmq::v2::Settings& settings, const core::GroupConfig& group);
  void FinishIfDone();
  void NoteRefused(const model::Error& error);
  std::string GroupName(const apache::rocketmq::v2::Settings& settings) const;

  const ServiceParts& parts_;
  const RequestContext context_;
  bool refused_ = false;  // by Start()

  base::Mutex mu_;
  SettingsPtr settings_ ABSL_GUARDED_BY(mu_);                            // the last that were answered
  std::optional<core::GroupConfig> answered_with_ ABSL_GUARDED_BY(mu_);  // nullopt: defaults
  std::int64_t looked_millis_ ABSL_GUARDED_BY(mu_) = 0;
  int unanswered_ ABSL_GUARDED_BY(mu_) = 0;
  int end_code_ ABSL_GUARDED_BY(mu_) = 0;  // of a refused stream
  bool half_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
};

// The transport's end of `stream`.
std::unique_ptr<rpc::StreamHandler> HandlerOf(std::shared_ptr<TelemetryStream> stream);

}  // namespace millrace::proxy
