#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "naming/held_stream.h"
#include "naming/registration.h"
#include "naming/route.h"
#include "rpc/transport.h"

namespace millrace::naming {

using ChannelFactory = std::function<std::unique_ptr<rpc::Channel>(const std::string& target)>;

struct RegistrarOptions {
  std::vector<std::string> nameservers;  // "host:port", all of them
  SetKey key;
  std::uint32_t replica = 0;
  std::string address;  // what proxies dial
  std::uint64_t epoch = 0;
  // Above every version of an earlier run in this epoch: the broker's start number << 32.
  std::uint64_t first_version = 0;
  std::uint32_t expiry_millis = 10'000;
};

// Keeps a broker registered with every nameserver. Begins with the first SetTopics().
// Threads.  Any thread; never blocks. Has one of its own.
// Lifetime. `clock` outlives it. Destruction without Goodbye() is what a killed broker looks like.
class Registrar {
 public:
  Registrar(RegistrarOptions options, const base::Clock& clock, const ChannelFactory& channels);
  Registrar(RegistrarOptions options, const base::Clock& clock);  // rpc::MakeChannel
  ~Registrar();

  void SetTopics(std::vector<TopicRoute> topics);
  void TopicChanged(TopicRoute topic);
  void TopicRemoved(std::uint64_t id);

  // A clean stop: ends the registration at every nameserver that can be reached, and waits for their answers for at
  // most `wait_millis`. Nothing happens afterwards.
  void Goodbye(std::int64_t wait_millis = 1'000);

 private:
  void Run();
  void Serve(std::size_t peer, std::int64_t now, bool heartbeat) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Wake();
  void Stop();

  const RegistrarOptions options_;
  const base::Clock& clock_;
  base::Mutex mu_;
  base::CondVar changed_;
  Registration registration_ ABSL_GUARDED_BY(mu_);
  bool has_topics_ ABSL_GUARDED_BY(mu_) = false;
  bool woken_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<bool> reported_;                        // of Run(): the loss of a nameserver was logged
  std::vector<std::unique_ptr<HeldStream>> streams_;  // of Run(), after it of Goodbye()
  std::thread thread_;
};

}  // namespace millrace::naming
