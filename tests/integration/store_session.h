#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "core/events.h"
#include "core/metadata.h"
#include "io/file_system.h"
#include "link/messages.h"
#include "services/broker/broker.h"
#include "services/proxy/link_client.h"

namespace millrace::testing_support {

// A broker on a directory and one link to it, with calls that block. For the store that is kept as golden data: its
// writer and its reader.
class StoreSession {
 public:
  // The golden store's segments are small, so that it has several.
  static constexpr std::uint64_t kSegmentBytes = 16 << 10;

  static absl::StatusOr<std::unique_ptr<StoreSession>> Open(io::FileSystem& fs, const std::string& directory);
  ~StoreSession();

  struct Answer {
    std::uint32_t code = 0;
    std::string text, payload;
  };
  Answer Call(link::Op op, std::string payload);
  Answer Query(core::QueryKind kind, const std::string& name);
  Answer OnHandle(link::Op op, const std::string& handle, std::int64_t duration_millis);  // of topic orders, billing
  Answer Send(const std::string& topic, const std::string& body, const std::string& tag);

  struct Message {
    std::string body, handle;
  };
  std::vector<Message> Receive(const std::string& topic, const std::string& group, std::int64_t invisible_millis,
                               std::uint32_t batch);

  // Everything that the store says to the outside, as text: topics, groups, progress, every message.
  std::string Describe();

  absl::Status Stop();

 private:
  StoreSession() = default;
  std::vector<std::string> List(core::QueryKind kind);
  void DescribeMessages(const core::QueueProgress& queue, std::string& out);

  base::SystemClock clock_;
  std::unique_ptr<broker::TopicListener> topics_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<proxy::LinkClient> client_;
};

}  // namespace millrace::testing_support
