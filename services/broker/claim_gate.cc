#include "services/broker/claim_gate.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace millrace::broker {
namespace {

constexpr std::uint64_t kCreditMax = 1ull << 40;  // whatever a peer says, sums do not wrap

}  // namespace

void ClaimGate::Open(std::uint32_t link, std::uint64_t credit_bytes) {
  base::MutexLock lock(mu_);
  links_[link].credit = std::min(credit_bytes, kCreditMax);
}

void ClaimGate::Close(std::uint32_t link) {
  Link closed;  // goes after the lock
  base::MutexLock lock(mu_);
  const auto at = links_.find(link);
  if (at == links_.end()) return;
  closed = std::move(at->second);
  links_.erase(at);
}

std::uint64_t ClaimGate::Take(core::ReplyTo receive, std::uint64_t least, std::uint64_t most, Go go) {
  base::MutexLock lock(mu_);
  const auto at = links_.find(receive.link);
  if (at == links_.end()) return 0;
  Link& link = at->second;
  if (!link.waiting.empty() || link.credit < least) {
    link.waiting.push_back({receive.correlation, least, most, std::move(go)});
    return 0;
  }
  const std::uint64_t granted = std::min(link.credit, most);
  link.credit -= granted;
  return granted;
}

void ClaimGate::GiveBack(std::uint32_t number, std::uint64_t bytes) {
  std::vector<std::pair<Go, std::uint64_t>> ready;
  {
    base::MutexLock lock(mu_);
    const auto at = links_.find(number);
    if (at == links_.end()) return;
    Link& link = at->second;
    link.credit = std::min(link.credit + std::min(bytes, kCreditMax), kCreditMax);
    while (!link.waiting.empty() && link.waiting.front().least <= link.credit) {
      Claim& claim = link.waiting.front();
      const std::uint64_t granted = std::min(link.credit, claim.most);
      link.credit -= granted;
      ready.emplace_back(std::move(claim.go), granted);
      link.waiting.pop_front();
    }
  }
  for (const auto& [go, granted] : ready) go(granted);
}

void ClaimGate::Cancel(core::ReplyTo receive) {
  Claim cancelled;  // goes after the lock
  {
    base::MutexLock lock(mu_);
    const auto link = links_.find(receive.link);
    if (link == links_.end()) return;
    auto& waiting = link->second.waiting;
    const auto at = std::find_if(waiting.begin(), waiting.end(),
                                 [&](const Claim& claim) { return claim.correlation == receive.correlation; });
    if (at == waiting.end()) return;
    cancelled = std::move(*at);
    waiting.erase(at);
  }
  // Whoever stood behind it may need less.
  GiveBack(receive.link, 0);
}

std::size_t ClaimGate::waiting() const {
  base::MutexLock lock(mu_);
  std::size_t sum = 0;
  for (const auto& [number, link] : links_) sum += link.waiting.size();
  return sum;
}

}  // namespace millrace::broker
