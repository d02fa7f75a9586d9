#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "naming/registrar.h"
#include "services/broker/broker.h"

namespace millrace::broker {

// Carries confirmed topics to the nameservers. What the store has at a start gathers until Begin().
class TopicAnnouncer final : public TopicListener {
 public:
  void OnTopic(const core::TopicConfig& topic) override {
    const naming::TopicRoute route{.id = topic.id,
                                   .name = topic.name,
                                   .type = static_cast<int>(topic.type),
                                   .queues = topic.queues,
                                   .access = static_cast<int>(topic.access),
                                   .version = topic.version};
    base::MutexLock lock(mu_);
    if (registrar_ != nullptr) return registrar_->TopicChanged(route);
    topics_[route.id] = route;
  }
  void OnTopicDeleted(std::uint64_t topic_id, absl::string_view) override {
    base::MutexLock lock(mu_);
    if (registrar_ != nullptr) return registrar_->TopicRemoved(topic_id);
    topics_.erase(topic_id);
  }

  void Begin(std::unique_ptr<naming::Registrar> registrar) {
    base::MutexLock lock(mu_);
    registrar_ = std::move(registrar);
    std::vector<naming::TopicRoute> topics;
    for (auto& [id, topic] : topics_) topics.push_back(std::move(topic));
    topics_.clear();
    registrar_->SetTopics(std::move(topics));
  }
  // A clean stop: nameservers forget the set at once.
  void Goodbye() {
    base::MutexLock lock(mu_);
    if (registrar_ != nullptr) registrar_->Goodbye();
  }

 private:
  base::Mutex mu_;
  std::map<std::uint64_t, naming::TopicRoute> topics_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<naming::Registrar> registrar_ ABSL_GUARDED_BY(mu_);
};

}  // namespace millrace::broker
