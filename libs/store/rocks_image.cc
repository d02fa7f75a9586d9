#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/image_position.h"
#include "store/state_image.h"

namespace millrace::store {
namespace {

rocksdb::Slice Slice(absl::string_view text) { return {text.data(), text.size()}; }
absl::string_view View(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// The smallest key above every key with `prefix`, which has a byte below 255.
std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  MR_CHECK(!end.empty());
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

absl::Status Named(const std::string& directory, absl::string_view what, const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat("state image ", directory, ": ", what, ": ", status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(text);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

// RocksDB writes a file LOG of its own unless it is given a logger.
class SilentLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

rocksdb::Options SmallOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 16 << 20;
  options.max_write_buffer_number = 2;
  options.max_open_files = 64;
  options.max_background_jobs = 2;
  options.compression = rocksdb::kNoCompression;
  options.keep_log_file_num = 1;
  options.info_log = std::make_shared<SilentLogger>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  // Without it a clean stop would leave a position that Flush() never reported.
  options.avoid_flush_during_shutdown = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(8 << 20);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

class BatchChanges final : public ImageChanges {
 public:
  void Put(absl::string_view key, absl::string_view value) override {
    MR_CHECK(IsUserKey(key));
    Note(batch_.Put(Slice(key), Slice(value)));
  }
  void Delete(absl::string_view key) override { Note(batch_.Delete(Slice(key))); }
  void DeletePrefix(absl::string_view prefix) override {
    MR_CHECK(IsUserKey(prefix));
    Note(batch_.DeleteRange(Slice(prefix), PrefixEnd(prefix)));
  }
  void PutPosition(LogPosition position) { Note(batch_.Put(Slice(kPositionKey), EncodePosition(position))); }
  rocksdb::WriteBatch& batch() { return batch_; }
  const rocksdb::Status& status() const { return status_; }

 private:
  void Note(const rocksdb::Status& status) {
    if (status_.ok()) status_ = status;
  }

  rocksdb::WriteBatch batch_;
  rocksdb::Status status_;
};

class RocksImage final : public StateImage {
 public:
  RocksImage(std::unique_ptr<rocksdb::DB> db, std::string directory, LogPosition position)
      : directory_(std::move(directory)), db_(std::move(db)), applied_(position), flushed_(position) {}

  absl::Status Apply(LogPosition applied, absl::FunctionRef<void(ImageChanges&)> fill) override {
    BatchChanges changes;
    fill(changes);
    changes.PutPosition(applied);
    MR_RETURN_IF_ERROR(Named(directory_, "collecting changes", changes.status()));
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    MR_RETURN_IF_ERROR(Named(directory_, "writing", db_->Write(options, &changes.batch())));
    base::MutexLock lock(mu_);
    applied_ = applied;
    return absl::OkStatus();
  }

  absl::Status Flush() override {
    const LogPosition position = applied();
    MR_RETURN_IF_ERROR(Named(directory_, "flushing", db_->Flush(rocksdb::FlushOptions())));
    base::MutexLock lock(mu_);
    flushed_ = position;
    return absl::OkStatus();
  }

  LogPosition applied() const override {
    base::MutexLock lock(mu_);
    return applied_;
  }

  LogPosition flushed() const override {
    base::MutexLock lock(mu_);
    return flushed_;
  }

  absl::Status Scan(absl::string_view prefix,
                    absl::FunctionRef<void(absl::string_view key, absl::string_view value)> each) const override {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options));
    for (at->Seek(Slice(prefix)); at->Valid() && at->key().starts_with(Slice(prefix)); at->Next()) {
      if (IsUserKey(View(at->key()))) each(View(at->key()), View(at->value()));
    }
    return Named(directory_, "reading", at->status());
  }

 private:
  const std::string directory_;
  const std::unique_ptr<rocksdb::DB> db_;  // has its own synchronisation
  mutable base::Mutex mu_;
  LogPosition applied_ ABSL_GUARDED_BY(mu_);
  LogPosition flushed_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<StateImage>> OpenRocksImage(const std::string& directory) {
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(SmallOptions(), directory, &opened);
  std::unique_ptr<rocksdb::DB> db(opened);
  MR_RETURN_IF_ERROR(Named(directory, "opening", status));
  std::string bytes;
  const rocksdb::Status read = db->Get(rocksdb::ReadOptions(), Slice(kPositionKey), &bytes);
  LogPosition position;
  if (!read.IsNotFound()) {
    MR_RETURN_IF_ERROR(Named(directory, "reading the position", read));
    MR_ASSIGN_OR_RETURN(position, DecodePosition(bytes));
  }
  return std::make_unique<RocksImage>(std::move(db), directory, position);
}

}  // namespace millrace::store
