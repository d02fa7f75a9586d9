#pragma once

namespace millrace::core {

// Rules of delivery that a test switches off, one at a time, to see that the suite notices. Production: all true.
struct Rules {
  bool passed_waits = true;            // "already passed" is answered when the record that passed it is confirmed
  bool attempt_record = true;          // a higher attempt is confirmed before the message goes out again
  bool answer_id = true;               // reports count for a lease's newest answer only
  bool gap_blocks = true;              // a record carries every block between the old and the new `next`
  bool dirty_blocks = true;            // ... and every block that changed since the cursor's last record
  bool counters_in_record = true;      // ... and the counters of passed entries
  bool held_only = true;               // an offer is never written as a lease
  bool lapse_free = true;              // an offer that lapses does not count as an attempt
  bool grace = true;                   // clients named in leases live for a while after a start
  bool pace = true;                    // log time moves 1 s per turn, silence counts over emptied inboxes
  bool start_number = true;            // handles say which start of the broker made them
  bool epoch_list = true;              // every epoch's queue ends are remembered, not only the last one's
  bool metadata_sync = true;           // metadata and epochs are flushed before they are answered
  bool queue_end = true;               // the image keeps the next offset of each queue
  bool dead_letter_one_record = true;  // copy and "original passed" are one record
};

}  // namespace millrace::core
