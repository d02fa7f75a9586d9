// What the commit log costs beside the disk: appends with sync flush, next to pwrite and fdatasync of the same bytes.
//
//   store_bench [--directory=DIR] [--rounds=N] [--anyway]
//
// Runs of the two alternate, each pair gives one ratio; medians are printed. Both write into files that were written
// full of zeros before. Only ratios of one call mean anything: the machine's disk and its other users change.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "io/posix_file_system.h"
#include "store/commit_log.h"

namespace millrace {
namespace {

constexpr std::uint64_t kSegmentBytes = 64 << 20;
constexpr int kRecordBytes = 1024;
constexpr double kLoadLimit = 0.5;

double Seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class FlushWaiter final : public store::LogListener {
 public:
  void OnWritten(std::uint64_t) override {}
  void OnFlushed(std::uint64_t end) override {
    base::MutexLock lock(mu_);
    flushed_ = end;
    changed_.NotifyAll();
  }
  void OnFailed(const absl::Status& status) override {
    std::fprintf(stderr, "the log failed: %s\n", status.ToString().c_str());
    std::exit(1);
  }
  void Wait(std::uint64_t end) {
    base::MutexLock lock(mu_);
    while (flushed_ < end) changed_.Wait(mu_);
  }

 private:
  base::Mutex mu_;
  base::CondVar changed_;
  std::uint64_t flushed_ = 0;
};

class Log {
 public:
  Log(io::FileSystem& fs, const std::string& directory)
      : body_(std::make_shared<const std::string>(kRecordBytes, 'b')) {
    store::CommitLog::Recovery recovery;
    auto log = store::CommitLog::Open(fs, clock_, directory, 1, {.segment_bytes = kSegmentBytes}, {}, waiter_, recovery,
                                      [](const store::LogBatch&) { return absl::OkStatus(); });
    if (!log.ok()) {
      std::fprintf(stderr, "%s\n", log.status().ToString().c_str());
      std::exit(1);
    }
    log_ = *std::move(log);
    // The first segment is created when it is needed; the second one is prepared.
    while (end_ < kSegmentBytes) AppendAndWait(256, 1);
  }

  // `batches` batches of `records` records at once, then waits until they are flushed.
  void AppendAndWait(int records, int batches) {
    for (int i = 0; i < batches; ++i) {
      store::AppendBatch batch{.epoch = 1};
      batch.records.resize(static_cast<std::size_t>(records));
      for (store::AppendRecord& record : batch.records) {
        record.type = store::RecordType::kMessage;
        record.body = body_;
      }
      const std::uint64_t bytes = BatchBytes(batch);
      if (end_ % kSegmentBytes + bytes > kSegmentBytes) end_ = (end_ / kSegmentBytes + 1) * kSegmentBytes;
      batch.offset = end_;
      end_ += bytes;
      log_->Append(std::move(batch));
    }
    waiter_.Wait(end_);
  }

  store::LogMetrics metrics() const { return log_->metrics(); }

 private:
  const std::shared_ptr<const std::string> body_;
  base::SystemClock clock_;
  FlushWaiter waiter_;
  std::uint64_t end_ = 0;
  std::unique_ptr<store::CommitLog> log_;
};

class RawFile {
 public:
  explicit RawFile(const std::string& path) : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    MR_CHECK(fd_ >= 0);
    const std::string zeros(1 << 20, '\0');
    for (std::uint64_t at = 0; at < kSegmentBytes; at += zeros.size()) WriteAndSync(zeros);
    at_ = 0;
  }
  ~RawFile() { ::close(fd_); }

  void WriteAndSync(const std::string& bytes) {
    if (at_ + bytes.size() > kSegmentBytes) at_ = 0;
    MR_CHECK(::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(at_)) == static_cast<ssize_t>(bytes.size()));
    MR_CHECK(::fdatasync(fd_) == 0);
    at_ += bytes.size();
  }

 private:
  const int fd_;
  std::uint64_t at_ = 0;
};

void Compare(Log& log, RawFile& raw, int records, int batches, int rounds) {
  const int calls = records * batches >= 64 ? 50 : 100;
  const std::string bytes(
      static_cast<std::size_t>(batches) *
          (store::kBatchHeaderBytes + static_cast<std::size_t>(records) * store::RecordBytes(0, kRecordBytes)),
      'r');
  std::vector<double> store_micros, raw_micros, ratios;
  const store::LogMetrics before = log.metrics();
  for (int round = 0; round < rounds; ++round) {
    const double begin = Seconds();
    for (int i = 0; i < calls; ++i) log.AppendAndWait(records, batches);
    const double middle = Seconds();
    for (int i = 0; i < calls; ++i) raw.WriteAndSync(bytes);
    const double end = Seconds();
    store_micros.push_back((middle - begin) / calls * 1e6);
    raw_micros.push_back((end - middle) / calls * 1e6);
    ratios.push_back(store_micros.back() / raw_micros.back());
  }
  const store::LogMetrics after = log.metrics();
  const double micros = Median(store_micros);
  std::printf("%7d %7d | %9.1f %9.1f %6.2f | %10.0f | %17.1f\n", batches, records, micros, Median(raw_micros),
              Median(ratios), records * batches / micros * 1e6,
              static_cast<double>(after.records - before.records) / static_cast<double>(after.syncs - before.syncs));
}

int Run(const std::string& directory, int rounds) {
  const auto fs = io::MakePosixFileSystem();
  std::filesystem::remove_all(directory);
  MR_CHECK(fs->CreateDirectories(directory).ok());
  {
    Log log(*fs, directory + "/commitlog");
    RawFile raw(directory + "/raw");
    std::printf("sync flush, records of %d bytes, %d rounds, microseconds per flushed call (medians)\n", kRecordBytes,
                rounds);
    std::printf("batches records |     store       raw  ratio |  records/s | records/fdatasync\n");
    for (const int records : {1, 8, 64, 256}) Compare(log, raw, records, 1, rounds);
    for (const int batches : {8, 64, 256}) Compare(log, raw, 1, batches, rounds);
  }
  std::filesystem::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  std::string directory = (std::filesystem::temp_directory_path() / "millrace-store-bench").string();
  int rounds = 11;
  bool anyway = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.rfind("--directory=", 0) == 0) {
      directory = argument.substr(12) + "/millrace-store-bench";
    } else if (argument.rfind("--rounds=", 0) == 0) {
      rounds = std::max(1, std::atoi(argument.c_str() + 9));
    } else if (argument == "--anyway") {
      anyway = true;
    } else {
      std::fprintf(stderr, "unknown argument %s; known: --directory=DIR --rounds=N --anyway\n", argument.c_str());
      return 2;
    }
  }
  double load = 0;
  if (::getloadavg(&load, 1) == 1 && load > millrace::kLoadLimit && !anyway) {
    std::fprintf(stderr, "the load average is %.2f, above %.1f: figures would mean nothing; wait, or --anyway\n", load,
                 millrace::kLoadLimit);
    return 3;
  }
  return millrace::Run(directory, rounds);
}
