#include "io/testing/memory_file_system.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace millrace::io::testing {
namespace {

using Kind = TraceStep::Kind;

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

absl::Status Missing(const std::string& path) {
  return absl::NotFoundError(absl::StrCat(path, ": No such file or directory"));
}

class MemoryLock final : public FileLock {
 public:
  MemoryLock(std::shared_ptr<std::set<std::string>> held, std::string path)
      : held_(std::move(held)), path_(std::move(path)) {}
  ~MemoryLock() override { held_->erase(path_); }

 private:
  const std::shared_ptr<std::set<std::string>> held_;
  const std::string path_;
};

}  // namespace

class MemoryHandle final : public File {
 public:
  MemoryHandle(MemoryFileSystem& fs, std::uint64_t file, OpenMode mode) : fs_(fs), file_(file), mode_(mode) {}

  absl::Status Write(std::uint64_t offset, absl::string_view data) override {
    return Change({.kind = Kind::kWrite, .file = file_, .value = offset, .data = std::string(data)});
  }
  absl::Status Truncate(std::uint64_t size) override {
    return Change({.kind = Kind::kTruncate, .file = file_, .value = size});
  }
  absl::Status Sync() override { return Change({.kind = Kind::kSync, .file = file_}); }

  absl::StatusOr<std::size_t> Read(std::uint64_t offset, std::size_t size, char* to) const override {
    base::MutexLock lock(fs_.mu_);
    const std::string& content = fs_.files_.at(file_).content();
    if (offset >= content.size()) return 0;
    const std::size_t got = std::min<std::size_t>(size, content.size() - offset);
    std::memcpy(to, content.data() + offset, got);
    return got;
  }

  absl::StatusOr<std::uint64_t> Size() const override {
    base::MutexLock lock(fs_.mu_);
    return fs_.files_.at(file_).content().size();
  }

 private:
  absl::Status Change(const TraceStep& step) {
    if (mode_ == OpenMode::kRead && step.kind != Kind::kSync) return absl::UnavailableError("opened for reading");
    base::MutexLock lock(fs_.mu_);
    fs_.Do(step);
    return absl::OkStatus();
  }

  MemoryFileSystem& fs_;
  const std::uint64_t file_;
  const OpenMode mode_;
};

void MemoryFileSystem::Do(const TraceStep& step) {
  if (tracing_) trace_.push_back(step);
  switch (step.kind) {
    case Kind::kCreate:
      names_[step.path] = step.file;
      files_.try_emplace(step.file, page_bytes_);
      next_file_ = std::max(next_file_, step.file + 1);
      break;
    case Kind::kWrite:
      files_.at(step.file).Write(step.value, step.data);
      last_written_file_ = step.file;
      break;
    case Kind::kTruncate: files_.at(step.file).Truncate(step.value); break;
    case Kind::kSync: files_.at(step.file).Sync(); break;
    case Kind::kLose: files_.at(step.file).LoseUnsynced(); break;
    case Kind::kRename:
      names_[step.to] = names_.at(step.path);
      names_.erase(step.path);
      break;
    case Kind::kRemove: names_.erase(step.path); break;
    case Kind::kSyncDirectory: SyncNames(step.path); break;
    case Kind::kNote: break;
  }
}

void MemoryFileSystem::SyncNames(const std::string& directory) {
  const auto copy = [&](const Names& from, Names& to) {
    for (const auto& [path, file] : from) {
      if (ParentOf(path) == directory) to[path] = file;
    }
  };
  std::erase_if(durable_names_, [&](const auto& name) { return ParentOf(name.first) == directory; });
  copy(names_, durable_names_);
}

absl::StatusOr<std::unique_ptr<File>> MemoryFileSystem::Open(const std::string& path, OpenMode mode) {
  base::MutexLock lock(mu_);
  auto name = names_.find(path);
  if (name == names_.end()) {
    if (mode != OpenMode::kCreate || !directories_.contains(ParentOf(path))) return Missing(path);
    Do({.kind = Kind::kCreate, .file = next_file_, .path = path});
    name = names_.find(path);
  }
  return std::make_unique<MemoryHandle>(*this, name->second, mode);
}

absl::Status MemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  base::MutexLock lock(mu_);
  if (!names_.contains(from)) return Missing(from);
  Do({.kind = Kind::kRename, .path = from, .to = to});
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::Remove(const std::string& path) {
  base::MutexLock lock(mu_);
  if (!names_.contains(path)) return Missing(path);
  Do({.kind = Kind::kRemove, .path = path});
  return absl::OkStatus();
}

absl::Status MemoryFileSystem::RemoveDirectory(const std::string& path) {
  base::MutexLock lock(mu_);
  const std::string prefix = absl::StrCat(path, "/");
  const auto name = names_.lower_bound(prefix);
  const auto inner = directories_.lower_bound(prefix);
  if ((name != names_.end() && absl::StartsWith(name->first, prefix)) ||
      (inner != directories_.end() && absl::StartsWith(*inner, prefix))) {
    return absl::UnavailableError(absl::StrCat(path, ": Directory not empty"));
  }
  // Directories are durable at once, so a removed one cannot keep names that a power cut would bring back.
  std::erase_if(durable_names_, [&](const auto& entry) { return absl::StartsWith(entry.first, prefix); });
  return directories_.erase(path) == 1 ? absl::OkStatus() : Missing(path);
}

absl::Status MemoryFileSystem::CreateDirectories(const std::string& path) {
  base::MutexLock lock(mu_);
  for (std::string at = path; directories_.insert(at).second && at != "." && at != "/";) at = ParentOf(at);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> MemoryFileSystem::List(const std::string& directory) {
  base::MutexLock lock(mu_);
  if (!directories_.contains(directory)) return Missing(directory);
  std::set<std::string> found;
  const auto add = [&](const std::string& path) {
    if (path != directory && ParentOf(path) == directory) found.insert(path.substr(path.rfind('/') + 1));
  };
  for (const auto& [path, file] : names_) add(path);
  for (const std::string& path : directories_) add(path);
  return std::vector<std::string>(found.begin(), found.end());
}

bool MemoryFileSystem::Exists(const std::string& path) {
  base::MutexLock lock(mu_);
  return names_.contains(path) || directories_.contains(path);
}

absl::Status MemoryFileSystem::SyncDirectory(const std::string& path) {
  base::MutexLock lock(mu_);
  if (!directories_.contains(path)) return Missing(path);
  Do({.kind = Kind::kSyncDirectory, .path = path});
  return absl::OkStatus();
}

absl::StatusOr<Space> MemoryFileSystem::SpaceOf(const std::string&) {
  base::MutexLock lock(mu_);
  return space_;
}

void MemoryFileSystem::SetSpace(Space space) {
  base::MutexLock lock(mu_);
  space_ = space;
}

absl::StatusOr<std::unique_ptr<FileLock>> MemoryFileSystem::Lock(const std::string& path, absl::string_view holder) {
  MR_ASSIGN_OR_RETURN(auto file, Open(path, OpenMode::kCreate));
  if (!locks_->insert(path).second) {
    MR_ASSIGN_OR_RETURN(const std::string other, ReadFile(*this, path));
    return absl::AlreadyExistsError(absl::StrCat("lock ", path, ": held by ", other));
  }
  MR_RETURN_IF_ERROR(file->Truncate(0));
  MR_RETURN_IF_ERROR(file->Write(0, holder));
  return std::make_unique<MemoryLock>(locks_, path);
}

void MemoryFileSystem::CutNames(Survival survival, std::mt19937_64& random) {
  if (survival == Survival::kNothing) {
    names_ = durable_names_;
  } else if (survival == Survival::kRandom) {
    Names all = names_;
    all.insert(durable_names_.begin(), durable_names_.end());
    for (const auto& [path, unused] : all) {
      if (random() % 2 == 0) continue;
      const auto old = durable_names_.find(path);
      if (old == durable_names_.end()) {
        names_.erase(path);
      } else {
        names_[path] = old->second;
      }
    }
  }
  durable_names_ = names_;
}

void MemoryFileSystem::PowerCut(Survival survival, std::mt19937_64& random) {
  base::MutexLock lock(mu_);
  CutNames(survival, random);
  for (auto& [number, file] : files_) file.PowerCut(survival, number == last_written_file_, random);
  last_written_file_ = 0;
}

void MemoryFileSystem::LoseUnsynced(const std::string& path) {
  base::MutexLock lock(mu_);
  Do({.kind = Kind::kLose, .file = names_.at(path)});
}

void MemoryFileSystem::Damage(const std::string& path, std::uint64_t offset, unsigned char flip) {
  base::MutexLock lock(mu_);
  MemoryFile& file = files_.at(names_.at(path));
  MR_CHECK(offset < file.content().size());
  file.Damage(offset, flip);
}

std::unique_ptr<MemoryFileSystem> MemoryFileSystem::Clone() const {
  auto copy = std::make_unique<MemoryFileSystem>(page_bytes_);
  base::MutexLock lock(mu_);
  base::MutexLock copy_lock(copy->mu_);
  for (const auto& [number, file] : files_) copy->files_.emplace(number, file);
  copy->names_ = names_;
  copy->durable_names_ = durable_names_;
  copy->directories_ = directories_;
  copy->next_file_ = next_file_;
  copy->last_written_file_ = last_written_file_;
  copy->space_ = space_;
  return copy;
}

std::map<std::string, std::string> MemoryFileSystem::Contents() const {
  base::MutexLock lock(mu_);
  std::map<std::string, std::string> contents;
  for (const auto& [path, file] : names_) contents[path] = files_.at(file).content();
  return contents;
}

void MemoryFileSystem::StartTrace() {
  base::MutexLock lock(mu_);
  tracing_ = true;
}

void MemoryFileSystem::Note(std::uint64_t value, std::string what) {
  base::MutexLock lock(mu_);
  Do({.kind = Kind::kNote, .value = value, .data = std::move(what)});
}

std::vector<TraceStep> MemoryFileSystem::TakeTrace() {
  base::MutexLock lock(mu_);
  tracing_ = false;
  std::vector<TraceStep> trace;
  trace.swap(trace_);
  return trace;
}

void MemoryFileSystem::Apply(const TraceStep& step) {
  base::MutexLock lock(mu_);
  Do(step);
}

}  // namespace millrace::io::testing
