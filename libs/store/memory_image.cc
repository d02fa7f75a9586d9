#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/mutex.h"
#include "store/image_position.h"
#include "store/state_image.h"

namespace millrace::store {
namespace {

using Pairs = std::map<std::string, std::string>;

class MapChanges final : public ImageChanges {
 public:
  explicit MapChanges(Pairs& pairs) : pairs_(pairs) {}
  void Put(absl::string_view key, absl::string_view value) override {
    MR_CHECK(IsUserKey(key));
    pairs_[std::string(key)] = std::string(value);
  }
  void Delete(absl::string_view key) override { pairs_.erase(std::string(key)); }
  void DeletePrefix(absl::string_view prefix) override {
    auto at = pairs_.lower_bound(std::string(prefix));
    while (at != pairs_.end() && absl::StartsWith(at->first, prefix)) at = pairs_.erase(at);
  }

 private:
  Pairs& pairs_;
};

class MemoryImageOfMaps final : public MemoryImage {
 public:
  absl::Status Apply(LogPosition applied, absl::FunctionRef<void(ImageChanges&)> fill) override {
    base::MutexLock lock(mu_);
    MapChanges changes(now_.pairs);
    fill(changes);
    now_.position = applied;
    return absl::OkStatus();
  }

  absl::Status Flush() override {
    base::MutexLock lock(mu_);
    flushed_ = now_;
    return absl::OkStatus();
  }

  LogPosition applied() const override {
    base::MutexLock lock(mu_);
    return now_.position;
  }

  LogPosition flushed() const override {
    base::MutexLock lock(mu_);
    return flushed_.position;
  }

  absl::Status Scan(absl::string_view prefix,
                    absl::FunctionRef<void(absl::string_view key, absl::string_view value)> each) const override {
    for (const auto& [key, value] : PairsBelow(prefix)) each(key, value);
    return absl::OkStatus();
  }

  void Reboot() override {
    base::MutexLock lock(mu_);
    now_ = flushed_;
  }

 private:
  struct State {
    Pairs pairs;
    LogPosition position;
  };

  std::vector<std::pair<std::string, std::string>> PairsBelow(absl::string_view prefix) const {
    std::vector<std::pair<std::string, std::string>> found;
    base::MutexLock lock(mu_);
    for (auto at = now_.pairs.lower_bound(std::string(prefix));
         at != now_.pairs.end() && absl::StartsWith(at->first, prefix); ++at) {
      found.push_back(*at);
    }
    return found;
  }

  mutable base::Mutex mu_;
  State now_ ABSL_GUARDED_BY(mu_);
  State flushed_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

std::unique_ptr<MemoryImage> MakeMemoryImage() { return std::make_unique<MemoryImageOfMaps>(); }

}  // namespace millrace::store
