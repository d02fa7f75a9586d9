#include "store/testing/crash_suite.h"

#include <algorithm>
#include <optional>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "store/batch_codec.h"

namespace millrace::store::testing {
namespace {

using io::testing::MemoryFileSystem;
using io::testing::Survival;
using io::testing::TraceStep;
using Disk = std::unique_ptr<MemoryFileSystem>;

constexpr std::size_t kPage = 512;

// How a life ends. No survival: the process is killed, the page cache stays.
struct Death {
  const char* name;
  std::optional<Survival> survival;
  bool inside_write = false;  // when a part of the next operation, a write, is in the page cache already
};
constexpr Death kDeaths[] = {{"kill", std::nullopt},
                             {"kill inside a write", std::nullopt, true},
                             {"cut, nothing un-synced survives", Survival::kNothing},
                             {"cut, everything survives", Survival::kEverything},
                             {"cut, random pages survive", Survival::kRandom},
                             {"cut, last write torn", Survival::kTornLast}};

// A life as it can be lived again up to any of its operations.
struct Recorded {
  Disk start;
  std::vector<TraceStep> trace;
  Truth before;                  // what its start had to find
  std::vector<KnownBatch> line;  // with everything it appended
  std::uint64_t epoch = 0;

  // What must be found when it is killed after `steps` operations.
  Truth TruthAt(std::size_t steps) const {
    Truth truth = before;
    for (std::size_t i = 0; i < steps; ++i) {
      if (trace[i].kind == TraceStep::Kind::kNote) Hear(trace[i].data, trace[i].value, truth);
    }
    return truth;
  }

  // One note. From "started" on the log may hold all that this life appends, and nothing that was cut before.
  void Hear(const std::string& what, std::uint64_t end, Truth& truth) const {
    truth.acknowledged = std::max(truth.acknowledged, end);
    if (what == "started") truth.line = line;
    if (what != "written") truth.flushed = std::max(truth.flushed, end);
    if (what != "started") truth.shown[epoch] = std::max(truth.shown[epoch], end);
    for (const KnownBatch& batch : line) {
      if (batch.flush_first && batch.end <= end) truth.flushed = std::max(truth.flushed, batch.end);
    }
  }
};

// A body that is itself a batch header, at the right place and with a right checksum of a store whose seed is 0.
std::string ForgedBody(Appender& appender) {
  std::string body(200, 'f');
  const std::uint64_t payload_at = appender.PlaceOf({body}) + kBatchHeaderBytes + kRecordHeaderBytes;
  std::string batch;
  BatchCodec(0).Encode({.offset = payload_at, .records = {{.type = RecordType::kSeal}}}, 1 << 20, 0, batch);
  body.replace(0, batch.size(), batch);
  return body;
}

class Suite {
 public:
  explicit Suite(const SuiteOptions& options) : options_(options), random_(options.seed) {}

  SuiteResult Run() {
    for (const bool fails : {false, true}) {
      for (const bool prepare : {false, true}) {
        if (!Found()) RunLife(fails, prepare);
      }
    }
    return result_;
  }

 private:
  bool Found() const { return !result_.violation.empty(); }
  std::size_t Below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  std::string Payload() {
    const std::size_t size = Below(4) == 0 ? Below(3500) : Below(300);
    return absl::StrCat("message ", ++messages_, " ", std::string(size, 'm'));
  }

  std::vector<std::string> Payloads() {
    std::vector<std::string> payloads(1 + Below(2));
    for (std::string& payload : payloads) payload = Payload();
    return payloads;
  }

  LifeOptions Life() const {
    return {.rules = options_.rules, .start_rules = options_.start_rules, .async_flush = options_.async_flush};
  }

  void Step(BrokerLife& life) {
    switch (Below(options_.async_flush ? 8 : 6)) {
      case 0: life.AppendTogether({Payloads(), Payloads(), Payloads(), Payloads()}); break;
      case 1: life.Append({ForgedBody(life.appender())}); break;
      case 2:
        life.Drain();
        life.Checkpoint();
        break;
      case 3:
        life.Drain();
        life.FlushImage();
        if (Below(2) == 0) life.Retire();
        break;
      case 6: life.PassInterval(); break;
      case 7: life.AppendMetadata(Payload()); break;
      default: life.Append(Payloads());
    }
    // Async: as many crash points between write and flush as there are behind it.
    if (Below(options_.async_flush ? 6 : 3) == 0) life.Drain();
    if (options_.async_flush) life.WaitUntilWritten();
  }

  // The life whose every crash point is tried. `fails`: its last sync fails and leaves clean pages.
  void RunLife(bool fails, bool prepare) {
    Recorded life;
    life.start = std::make_unique<MemoryFileSystem>(kPage);
    MR_CHECK(life.start->CreateDirectories("./commitlog").ok());
    MR_CHECK(life.start->CreateDirectories("commitlog").ok());
    const Disk disk = life.start->Clone();
    disk->StartTrace();
    {
      LifeOptions options = Life();
      options.prepare_segments = prepare;
      BrokerLife broker(*disk, {}, options);
      if (Report(broker.violation(), "first start")) return;
      broker.AppendStart();
      for (int i = 0; i < 12 && broker.violation().empty(); ++i) Step(broker);
      if (Report(broker.violation(), "life")) return;
      broker.Drain();
      // Two segments' worth behind one sync.
      broker.AppendTogether({{Payload()}, {Payload()}, {std::string(5000, 'a')}, {Payload(), std::string(2500, 'b')}});
      broker.Drain();
      if (fails) FailLastSync(*disk, broker);
      life.line = broker.Line();
      life.epoch = broker.epoch();
    }
    life.trace = disk->TakeTrace();
    const std::string name = absl::StrCat(fails ? "failing sync" : "no fault", prepare ? ", prepared segments" : "");
    CrashEverywhere(life, absl::StrCat("seed ", options_.seed, ", ", name));
    if (!Found() && !fails) DamageEverywhere(*disk, life);
  }

  void FailLastSync(MemoryFileSystem& disk, BrokerLife& broker) {
    broker.faults().OnSyncFailure([&](const std::string& opened_as) {
      // A prepared segment has another name by now.
      disk.LoseUnsynced(disk.Exists(opened_as) ? opened_as : opened_as.substr(0, opened_as.rfind(".prepared")));
    });
    broker.faults().FailNth(io::testing::FaultyFileSystem::Operation::kSync, 1,
                            absl::UnavailableError("Input/output error"));
    broker.Append({Payload()});
    broker.Drain();
    broker.Append({Payload()});
    broker.Drain();
  }

  // True when there is something to report.
  bool Report(const std::string& violation, const std::string& where) {
    ++result_.recoveries;
    if (violation.empty()) return false;
    result_.violation = absl::StrCat(violation, " [", where, "]");
    return true;
  }

  // Calls `then` with the disk of each death at each of the chosen crash points.
  template <typename Then>
  void EachCrash(const Recorded& life, std::size_t limit, const std::string& where, Then then) {
    const std::size_t points = life.trace.size() + 1;
    const Disk disk = life.start->Clone();
    std::size_t chosen = 0;
    for (std::size_t steps = 0; steps < points && !Found(); ++steps) {
      if (steps > 0) disk->Apply(life.trace[steps - 1]);
      // Each subset of `limit` points is as likely as any other.
      if (limit != 0 && Below(points - steps) >= std::min(limit, points) - chosen) continue;
      ++chosen;
      const Truth truth = life.TruthAt(steps);
      for (const Death& death : kDeaths) {
        if (options_.only_inside_writes && !death.inside_write) continue;
        if (death.inside_write && (steps == life.trace.size() || !CanBeTorn(life.trace[steps]))) continue;
        const bool random = death.survival == Survival::kRandom || death.inside_write;
        const int times = random ? options_.random_cuts : 1;
        for (int i = 0; i < times && !Found(); ++i) {
          Disk dead = disk->Clone();
          Truth left = truth;
          if (death.inside_write) dead->Apply(PartOf(life.trace[steps]));
          if (death.survival.has_value()) {
            dead->PowerCut(*death.survival, random_);
            left.AfterPowerCut();
          }
          then(std::move(dead), left, absl::StrCat(where, ": ", death.name, " after operation ", steps));
        }
      }
    }
  }

  static bool CanBeTorn(const TraceStep& step) { return step.kind == TraceStep::Kind::kWrite && step.data.size() > 1; }
  TraceStep PartOf(TraceStep write) {
    write.data.resize(1 + Below(write.data.size() - 1));
    return write;
  }

  void CrashEverywhere(const Recorded& life, const std::string& where) {
    EachCrash(life, 0, where, [&](Disk disk, const Truth& truth, const std::string& crash) {
      Recorded second;
      second.start = disk->Clone();
      second.before = truth;
      disk->StartTrace();
      {
        BrokerLife broker(*disk, truth, Life());
        if (Report(broker.violation(), crash)) return;
        broker.AppendStart();
        broker.Append({Payload()});
        if (options_.async_flush) broker.WaitUntilWritten();
        broker.Drain();
        second.line = broker.Line();
        second.epoch = broker.epoch();
      }
      second.trace = disk->TakeTrace();
      EachCrash(second, options_.second_crashes, crash, [&](Disk again, const Truth& known, const std::string& both) {
        LifeOptions options = Life();
        options.only_start = true;
        Report(BrokerLife(*again, known, options).violation(), both);
      });
    });
  }

  // A byte of a batch that a later header calls durable is flipped: that is damage, it is reported and nothing changes.
  void DamageEverywhere(const MemoryFileSystem& disk, const Recorded& life) {
    const std::uint64_t from = ImageOffset(*disk.Clone());
    // Conservative: what was acknowledged before the last sync that was acknowledged, too.
    std::vector<std::uint64_t> acknowledged;
    for (const TraceStep& step : life.trace) {
      if (step.kind == TraceStep::Kind::kNote && step.data != "written") acknowledged.push_back(step.value);
    }
    if (acknowledged.size() < 2) return;
    const std::uint64_t recorded = acknowledged[acknowledged.size() - 2];
    for (const KnownBatch& batch : life.line) {
      if (Found() || batch.offset < from || batch.end > recorded) continue;
      const Disk damaged = disk.Clone();
      const std::uint64_t at = batch.offset + Below(batch.end - batch.offset);
      damaged->Damage(SegmentOf(*damaged, at).path, at - SegmentOf(*damaged, at).first);
      const auto log_before = LogFiles(*damaged);
      LifeOptions options = Life();
      options.only_start = true;
      const BrokerLife start(*damaged, {.line = life.line}, options);
      const std::string& violation = start.violation();
      const std::string where =
          absl::StrCat("seed ", options_.seed, ", byte ", at, " flipped, durable up to ", recorded);
      if (violation.find("damage") == std::string::npos) {
        Report(absl::StrCat("damage is not reported as such (", violation, ")"), where);
      } else if (LogFiles(*damaged) != log_before) {
        Report("damage, and the log was changed", where);
      }
    }
  }

  struct Place {
    std::string path;
    std::uint64_t first = 0;
  };
  static Place SegmentOf(const MemoryFileSystem& disk, std::uint64_t offset) {
    const std::uint64_t first = offset / BrokerLife::kSegmentBytes * BrokerLife::kSegmentBytes;
    std::string digits = absl::StrCat(first);
    Place place{absl::StrCat("commitlog/", std::string(20 - digits.size(), '0'), digits), first};
    MR_CHECK(disk.Contents().contains(place.path));
    return place;
  }

  static std::map<std::string, std::string> LogFiles(const MemoryFileSystem& disk) {
    auto files = disk.Contents();
    std::erase_if(files, [](const auto& file) { return file.first.find("commitlog/0") != 0; });
    std::erase_if(files, [](const auto& file) { return file.first.find(".prepared") != std::string::npos; });
    return files;
  }

  static std::uint64_t ImageOffset(MemoryFileSystem& disk) {
    const absl::StatusOr<std::string> text = io::ReadFile(disk, "image");
    return text.ok() ? base::Load<std::uint64_t>(text->data()) : 0;
  }

  const SuiteOptions options_;
  std::mt19937_64 random_;
  std::uint64_t messages_ = 0;
  SuiteResult result_;
};

}  // namespace

SuiteResult RunCrashSuite(const SuiteOptions& options) { return Suite(options).Run(); }

}  // namespace millrace::store::testing
