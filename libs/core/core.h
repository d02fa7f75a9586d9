#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/actions.h"
#include "core/events.h"
#include "core/rules.h"
#include "core/sums.h"

// The broker's logic: append order, delivery, leases, metadata, liveness. A single-threaded state machine: the same
// events give the same actions. No clock, random source, environment, thread, file or socket in this library.
namespace millrace::core {

struct Options {
  std::uint64_t segment_bytes = 1ull << 30;
  bool async_flush = false;  // confirmed means written instead of flushed
  bool async_ack = false;    // an acknowledgement is answered before its record is confirmed
  std::uint64_t unconfirmed_bytes_max = 64ull << 20;
  std::int64_t send_timeout_millis = 2'000;  // not confirmed by then: MASTER_PERSISTENCE_TIMEOUT
  std::int64_t offer_millis = 15'000;        // an offer lapses this long after the last written piece
  std::int64_t offer_max_millis = 60'000;
  std::int64_t return_millis = 1'000;         // a returned message is visible again after
  std::int64_t lease_write_millis = 1'000;    // a lease open for this long is written to the log
  std::int64_t renew_limit_millis = 900'000;  // auto_renew ends, unless the group says otherwise
  std::int64_t client_silence_millis = 60'000;
  std::int64_t client_streams_ended_millis = 15'000;
  std::int64_t seal_idle_millis = 1'000;
  std::uint32_t in_flight_max = 10'000;  // per cursor
  std::uint32_t waiting_receives_max = 100'000;
  std::uint32_t answer_bytes_max = 8u << 20;
  std::uint64_t open_bytes_max = 256ull << 20;  // bookkeeping of open entries; one group gets at most a quarter
  std::uint32_t auto_create_queues = 4;
  Rules rules;  // for tests
};

// The state image as the core reads it: all pairs whose key starts with `prefix`, in key order.
class ImageReader {
 public:
  virtual ~ImageReader() = default;
  virtual void Scan(absl::string_view prefix,
                    absl::FunctionRef<void(absl::string_view key, absl::string_view value)> each) const = 0;
};

class ImageWriter {
 public:
  virtual ~ImageWriter() = default;
  virtual void Put(absl::string_view key, absl::string_view value) = 0;
  virtual void Delete(absl::string_view key) = 0;
  virtual void DeletePrefix(absl::string_view prefix) = 0;  // every key that starts with it
};

// A record as the fold sees it. `head` is RecordPlan::head (for a message and beyond it: nothing).
struct RecordView {
  store::RecordType type;
  std::uint32_t queue;
  std::uint64_t topic_id;
  std::int64_t queue_offset;
  absl::string_view head;
};

// What one record does to the image: blind puts and deletes, nothing is read. Keys: docs/formats/state_image.md.
// Errors: kDataLoss  the payload does not decode; it names the record type and the position in the payload.
absl::Status Fold(const RecordView& record, ImageWriter& image);

// The batch's own facts (log time) in the image.
void FoldBatchTime(std::int64_t log_time_millis, ImageWriter& image);

class Core {
 public:
  explicit Core(const Options& options);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Before the first Step(). `log_end`: where the next batch goes (everything below is durable and folded).
  // Errors: kDataLoss  the image does not decode.
  absl::Status Load(const ImageReader& image, std::uint64_t log_end);

  // True when the log has no metadata record 1 yet: the shell adds Initialise after Started.
  bool NeedsInitialise() const;

  // One turn. `actions` is cleared first. Turns without events are wanted at NextWakeMillis().
  void Step(const EventBatch& events, ActionBatch& actions);

  // Log time of the earliest thing that time alone will decide; max int64 when there is none.
  std::int64_t NextWakeMillis() const;
  std::int64_t log_time_millis() const;
  std::uint32_t start_number() const;
  std::uint64_t epoch() const;
  std::string cluster() const;
  std::string home() const;
  // Key of receipt handles' MACs (16 bytes).
  std::string mac_key() const;

  // Every topic, as TopicChanged actions (for a registration from scratch).
  void DescribeTopics(ActionBatch& actions) const;

  // Sums over everything, kept on every change.
  struct Totals {
    std::uint64_t messages_in = 0, bytes_in = 0, messages_out = 0, acknowledged = 0, dead_lettered = 0, returned = 0;
    std::int64_t ready = 0, in_flight = 0, waiting = 0;
    std::uint64_t clients = 0, waiting_receives = 0, topics = 0, groups = 0;
    std::uint64_t unconfirmed_bytes = 0;
    base::HistogramCounts sizes[kTopicTypes];  // of stored messages by type - 1; bytes, bounds: kSizeBytes
  };
  Totals totals() const;

  // Hands over the sums that have changed since they were handed over last; everything after Load(). Not part of a
  // turn: nothing that the core decides depends on it, except that AskStoreTime wants the event StoreTime.
  // `limit`: how many topics, groups and queues of pairs are looked at. True: more is left.
  bool PublishSums(std::size_t limit, SumsListener& listener);

  // Checks every invariant that needs no history by a full scan; aborts when one does not hold. For tests.
  void CheckInvariants() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::core
