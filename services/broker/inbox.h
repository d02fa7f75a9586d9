#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "core/events.h"

namespace millrace::broker {

// Bodies that events and actions name by slot. Thread-safe.
class BodySlots {
 public:
  core::BodyRef Put(std::string body) {
    const auto size = static_cast<std::uint32_t>(body.size());
    auto shared = std::make_shared<const std::string>(std::move(body));
    base::MutexLock lock(mu_);
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    slots_[slot] = std::move(shared);
    return {slot, size};
  }

  std::shared_ptr<const std::string> Take(std::uint32_t slot) {
    base::MutexLock lock(mu_);
    free_.push_back(slot);
    return std::move(slots_[slot]);
  }

 private:
  base::Mutex mu_;
  std::vector<std::shared_ptr<const std::string>> slots_ ABSL_GUARDED_BY(mu_);
  std::vector<std::uint32_t> free_ ABSL_GUARDED_BY(mu_);
};

// How far the log writer has come.
struct LogProgress {
  std::uint64_t written = 0;
  std::uint64_t flushed = 0;
  bool failed = false;
};

// What gathers for the core while it is busy with a turn: any thread posts, the core's thread takes everything at once.
class Inbox {
 public:
  // `fill(core::EventBatch&)` adds events; it runs under the inbox's lock and must be short.
  template <typename Fill>
  void Post(Fill&& fill) {
    bool wake = false;
    {
      base::MutexLock lock(mu_);
      fill(batch_);
      wake = Arrived();
    }
    if (wake) arrived_.NotifyOne();
  }

  // What one thread posts while it has a Burst wakes the core once, at the end.
  class Burst {
   public:
    explicit Burst(Inbox& inbox) : inbox_(inbox) {
      base::MutexLock lock(inbox_.mu_);
      ++inbox_.bursts_;
    }
    ~Burst() {
      bool wake = false;
      {
        base::MutexLock lock(inbox_.mu_);
        --inbox_.bursts_;
        wake = inbox_.some_ && inbox_.MustWake();
      }
      if (wake) inbox_.arrived_.NotifyOne();
    }
    Burst(const Burst&) = delete;
    Burst& operator=(const Burst&) = delete;

   private:
    Inbox& inbox_;
  };

  void Report(const LogProgress& progress) {
    bool wake = false;
    {
      base::MutexLock lock(mu_);
      log_ = progress;
      wake = Arrived();
    }
    if (wake) arrived_.NotifyOne();
  }

  void Stop() {
    {
      base::MutexLock lock(mu_);
      stopping_ = true;
      Arrived();
    }
    arrived_.NotifyAll();
  }

  // Waits until something has come or `wait_millis` have passed. False: stopped, and nothing is left.
  bool Take(core::EventBatch& turn, LogProgress& log, std::int64_t wait_millis) {
    turn.Clear();
    base::MutexLock lock(mu_);
    if (!some_ && !stopping_ && wait_millis > 0) {
      waiting_ = true;
      arrived_.WaitFor(mu_, std::chrono::milliseconds(wait_millis));
      waiting_ = false;
    }
    std::swap(turn.events, batch_.events);
    std::swap(turn.text, batch_.text);
    std::swap(turn.count, batch_.count);
    log = log_;
    const bool nothing_left = stopping_ && !some_;
    some_ = false;
    return !nothing_left;
  }

 private:
  bool Arrived() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    some_ = true;
    return MustWake();
  }
  // Once for each wait.
  bool MustWake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return bursts_ == 0 && std::exchange(waiting_, false); }

  base::Mutex mu_;
  base::CondVar arrived_;
  core::EventBatch batch_ ABSL_GUARDED_BY(mu_);
  LogProgress log_ ABSL_GUARDED_BY(mu_);
  bool some_ ABSL_GUARDED_BY(mu_) = false;
  bool waiting_ ABSL_GUARDED_BY(mu_) = false;  // and nobody has woken the core yet
  int bursts_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace millrace::broker
