#include "io/testing/memory_file.h"

#include <algorithm>

namespace millrace::io::testing {

std::string MemoryFile::PageOf(const std::string& bytes, std::uint64_t page) const {
  const std::uint64_t at = page * page_bytes_;
  std::string content = at < bytes.size() ? bytes.substr(at, page_bytes_) : std::string();
  content.resize(page_bytes_, '\0');
  return content;
}

void MemoryFile::NoteVersion(std::uint64_t page) { versions_[page].push_back(PageOf(now_, page)); }

void MemoryFile::Write(std::uint64_t offset, absl::string_view data) {
  if (data.empty()) return;
  last_offset_ = offset;
  last_bytes_ = data.size();
  last_before_ = offset < now_.size() ? now_.substr(offset, data.size()) : std::string();
  if (offset + data.size() > now_.size()) now_.resize(offset + data.size(), '\0');
  now_.replace(offset, data.size(), data.data(), data.size());
  for (std::uint64_t page = offset / page_bytes_; page * page_bytes_ < offset + data.size(); ++page) NoteVersion(page);
  sizes_.push_back(now_.size());
}

void MemoryFile::Truncate(std::uint64_t size) {
  const std::uint64_t from = std::min<std::uint64_t>(size, now_.size());
  const std::uint64_t to = std::max<std::uint64_t>(size, now_.size());
  now_.resize(size, '\0');
  for (std::uint64_t page = from / page_bytes_; page * page_bytes_ < to; ++page) NoteVersion(page);
  sizes_.push_back(size);
  last_bytes_ = 0;
}

void MemoryFile::Sync() {
  // Page by page: what LoseUnsynced() has made clean stays lost.
  const std::uint64_t size = sizes_.empty() ? durable_.size() : sizes_.back();
  durable_.resize(std::max<std::uint64_t>(size, durable_.size()), '\0');
  for (const auto& [page, versions] : versions_) {
    const std::uint64_t at = page * page_bytes_;
    if (at >= durable_.size()) continue;
    durable_.replace(at, std::min<std::size_t>(page_bytes_, durable_.size() - at), versions.back(), 0,
                     std::min<std::size_t>(page_bytes_, durable_.size() - at));
  }
  durable_.resize(size, '\0');
  versions_.clear();
  sizes_.clear();
  last_bytes_ = 0;
}

void MemoryFile::LoseUnsynced() {
  versions_.clear();
  sizes_.clear();
  last_bytes_ = 0;
}

void MemoryFile::CutRandomly(std::mt19937_64& random) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::size_t pick = below(sizes_.size() + 1);
  const std::uint64_t size = pick == 0 ? durable_.size() : sizes_[pick - 1];
  for (const auto& [page, versions] : versions_) {
    const std::size_t version = below(versions.size() + 1);
    if (version == 0) continue;
    const std::uint64_t at = page * page_bytes_;
    if (durable_.size() < at + page_bytes_) durable_.resize(at + page_bytes_, '\0');
    durable_.replace(at, page_bytes_, versions[version - 1]);
  }
  durable_.resize(size, '\0');
}

void MemoryFile::TearLastWrite(std::mt19937_64& random) {
  const std::size_t kept = random() % last_bytes_;
  std::string before = last_before_;
  before.resize(last_bytes_, '\0');
  durable_.replace(last_offset_ + kept, last_bytes_ - kept, before, kept, last_bytes_ - kept);
}

void MemoryFile::PowerCut(Survival survival, bool last_write, std::mt19937_64& random) {
  if (survival == Survival::kRandom) {
    CutRandomly(random);
  } else if (survival != Survival::kNothing) {
    const std::size_t torn_bytes = survival == Survival::kTornLast && last_write ? last_bytes_ : 0;
    Sync();
    last_bytes_ = torn_bytes;
    if (last_bytes_ > 0) TearLastWrite(random);
  }
  now_ = durable_;
  LoseUnsynced();
}

void MemoryFile::Damage(std::uint64_t offset, unsigned char flip) {
  for (std::string* bytes : {&now_, &durable_}) {
    if (offset < bytes->size()) (*bytes)[offset] = static_cast<char>((*bytes)[offset] ^ flip);
  }
}

}  // namespace millrace::io::testing
