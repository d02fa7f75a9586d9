#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "link/session.h"

namespace millrace::testing_support {

// A network between the two ends of links, with the faults of one: frames are passed on, kept, or swallowed, and
// connections end for both sides or for one. Frames keep their order, as TCP does.
// Threads.  Thread-safe. Frames are passed on in the thread that writes them, or that lets kept ones go.
// Lifetime. May go before or after the sessions.
class FrameRelay {
 public:
  enum class Way { kToBroker, kToProxy };
  enum class Side { kBroker, kProxy };

  explicit FrameRelay(const base::Clock& clock) : clock_(clock) {}
  ~FrameRelay() { CutAll(); }

  // Joins one stream. Faults that are set hold for new streams too.
  void Join(const std::shared_ptr<link::Session>& proxy, const std::shared_ptr<link::Session>& broker) {
    auto wire = std::make_shared<Wire>(clock_);
    wire->end[0] = broker;
    wire->end[1] = proxy;
    {
      base::MutexLock lock(mu_);
      for (const int way : {0, 1}) wire->direction[way].mode = mode_[way];
      wires_.push_back(wire);
    }
    broker->Attach(std::make_shared<Sink>(wire, Way::kToProxy));
    proxy->Attach(std::make_shared<Sink>(wire, Way::kToBroker));
  }

  // Frames vanish until Pass(): a peer that is silent, with a connection that stands.
  void Swallow(Way way) { SetMode(way, Mode::kSwallow); }
  void SwallowBoth() {
    Swallow(Way::kToBroker);
    Swallow(Way::kToProxy);
  }
  // Frames wait until Pass().
  void Keep(Way way) { SetMode(way, Mode::kKeep); }
  void Pass(Way way) {
    SetMode(way, Mode::kPass);
    for (const auto& wire : Wires()) Deliver(*wire, way);
  }

  // Every connection ends, for both sides; what was kept is lost. No frame is on its way when this returns.
  void CutAll() {
    for (const auto& wire : Wires()) {
      End(*wire, Side::kBroker);
      End(*wire, Side::kProxy);
      Settle(*wire);
    }
    base::MutexLock lock(mu_);
    wires_.clear();
  }
  // Only this side hears that its connections ended; the other one's frames go nowhere.
  void CutFor(Side side) {
    const auto wires = Wires();
    for (const auto& wire : wires) Silence(*wire);
    for (const auto& wire : wires) End(*wire, side);
  }

  // Frames that wait.
  std::size_t kept(Way way) const {
    std::size_t sum = 0;
    for (const auto& wire : Wires()) {
      base::MutexLock lock(wire->mu);
      sum += wire->direction[Index(way)].waiting.size();
    }
    return sum;
  }

 private:
  enum class Mode { kPass, kKeep, kSwallow };
  struct Direction {
    Mode mode = Mode::kPass;
    std::deque<std::string> waiting;
    bool delivering = false;
  };
  struct Wire {
    explicit Wire(const base::Clock& c) : clock(c) {}
    const base::Clock& clock;
    std::weak_ptr<link::Session> end[2];  // by Side; where frames of that Way go
    base::Mutex mu;
    base::CondVar idle;
    Direction direction[2] ABSL_GUARDED_BY(mu);
    bool cut ABSL_GUARDED_BY(mu) = false;  // nothing moves any more
  };

  class Sink final : public link::FrameSink {
   public:
    Sink(std::shared_ptr<Wire> wire, Way way) : wire_(std::move(wire)), way_(way) {}
    void Write(std::string frame) override {
      {
        base::MutexLock lock(wire_->mu);
        Direction& direction = wire_->direction[Index(way_)];
        if (wire_->cut || direction.mode == Mode::kSwallow) return;
        direction.waiting.push_back(std::move(frame));
      }
      Deliver(*wire_, way_);
    }
    // The writer ends its connection: the other side hears of it, unless the network swallows that too.
    void Close() override {
      {
        base::MutexLock lock(wire_->mu);
        if (wire_->cut || wire_->direction[Index(way_)].mode != Mode::kPass) return;
      }
      End(*wire_, way_ == Way::kToBroker ? Side::kBroker : Side::kProxy);
    }

   private:
    const std::shared_ptr<Wire> wire_;
    const Way way_;
  };

  static int Index(Way way) { return way == Way::kToBroker ? 0 : 1; }
  static int Index(Side side) { return side == Side::kBroker ? 0 : 1; }

  std::vector<std::shared_ptr<Wire>> Wires() const {
    base::MutexLock lock(mu_);
    return wires_;
  }

  void SetMode(Way way, Mode mode) {
    {
      base::MutexLock lock(mu_);
      mode_[Index(way)] = mode;
    }
    for (const auto& wire : Wires()) {
      base::MutexLock lock(wire->mu);
      wire->direction[Index(way)].mode = mode;
    }
  }

  // One thread at a time passes frames on; whoever comes meanwhile leaves its frames to it.
  static void Deliver(Wire& wire, Way way) {
    wire.mu.Lock();
    Direction& direction = wire.direction[Index(way)];
    if (direction.delivering) {
      wire.mu.Unlock();
      return;
    }
    direction.delivering = true;
    while (!wire.cut && direction.mode == Mode::kPass && !direction.waiting.empty()) {
      const std::string frame = std::move(direction.waiting.front());
      direction.waiting.pop_front();
      wire.mu.Unlock();
      if (const auto session = wire.end[Index(way)].lock()) session->OnFrame(frame, wire.clock.MonotonicMillis());
      wire.mu.Lock();
    }
    direction.delivering = false;
    wire.mu.Unlock();
    wire.idle.NotifyAll();
  }

  static void Silence(Wire& wire) {
    base::MutexLock lock(wire.mu);
    wire.cut = true;
    for (Direction& direction : wire.direction) direction.waiting.clear();
  }

  static void End(Wire& wire, Side side) {
    Silence(wire);
    if (const auto session = wire.end[Index(side)].lock()) {
      session->OnTransportEnded(absl::UnavailableError("the connection was cut"));
    }
  }

  static void Settle(Wire& wire) {
    base::MutexLock lock(wire.mu);
    while (wire.direction[0].delivering || wire.direction[1].delivering) wire.idle.Wait(wire.mu);
  }

  const base::Clock& clock_;
  mutable base::Mutex mu_;
  Mode mode_[2] ABSL_GUARDED_BY(mu_) = {Mode::kPass, Mode::kPass};
  std::vector<std::shared_ptr<Wire>> wires_ ABSL_GUARDED_BY(mu_);
};

}  // namespace millrace::testing_support
