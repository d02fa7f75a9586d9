"""Reads the histories of agents and says what was promised and not kept.

`check(lines, strict)` takes the lines of all agents of one test (README.md describes them);
as a program: `checker.py [--strict] FILE...`, exit code 1 when something is wrong.

`strict` is for histories without faults: then a message is stored once, is delivered again only after
a failure of its handler or a change of its invisibility, and its attempts count up from 1.
"""

import argparse
import collections
import json
import sys

# Answers that say for sure that nothing was stored: refusals of the input itself. Everything else that
# is not OK (timeouts, broken connections, internal errors) leaves the outcome unknown.
DEFINITE_REFUSALS = frozenset(list(range(40001, 40017)) + [41301, 41302, 43101])
DLQ_PREFIX = "%DLQ%"
REPORTED_PER_KIND = 5


class Report:
    def __init__(self):
        self.violations = []  # (kind, text)
        self.counts = collections.Counter()

    def add(self, kind, text):
        self.violations.append((kind, text))

    def kinds(self):
        return {kind for kind, _ in self.violations}

    def text(self):
        lines = [", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))]
        for kind in sorted(self.kinds()):
            found = [text for other, text in self.violations if other == kind]
            lines += [f"{kind}: {text}" for text in found[:REPORTED_PER_KIND]]
            if len(found) > REPORTED_PER_KIND:
                lines.append(f"{kind}: {len(found) - REPORTED_PER_KIND} more")
        return "\n".join(lines)


class History:
    """The lines, indexed by message. A message is known by its `uid`, a property that its sender set."""

    def __init__(self, lines):
        self.sends = {}
        self.uid_by_id = {}
        self.deliveries = []
        self.acks = []
        self.disturbed = set()  # (group, uid) that a handler failed or whose invisibility was changed
        self.drained = []
        later = []
        for line in lines:
            if line["op"] == "send":
                self.sends[line["uid"]] = line
                if line["id"]:
                    self.uid_by_id[line["id"]] = line["uid"]
            else:
                later.append(line)
        for line in later:
            if line["op"] == "deliver":
                self.deliveries.append(line)
            elif line["op"] == "ack":
                self.acks.append(line)
            elif line["op"] == "change" or (line["op"] == "handled" and not line["ok"]):
                self.disturbed.add((line["group"], self.uid(line)))
            elif line["op"] == "group" and line["drained"]:
                self.drained.append((line["group"], line["topic"]))
        for line in self.deliveries:
            if line["id"] and line["uid"]:
                self.uid_by_id.setdefault(line["id"], line["uid"])
        self.deliveries.sort(key=lambda line: line["t"])

    def uid(self, line):
        return line.get("uid") or self.uid_by_id.get(line["id"], line["id"])

    def by_copy(self):
        """(group, topic, uid, offset) -> deliveries of that stored copy in the order of time."""
        found = collections.defaultdict(list)
        for line in self.deliveries:
            found[line["group"], line["topic"], self.uid(line), line["offset"]].append(line)
        return found

    def copies(self):
        """(topic, uid) -> the (queue, offset) pairs at which it was seen.

        A send whose outcome an SDK did not learn is repeated by the SDK, so one message may be stored
        more than once. Only agents that see the queue count here.
        """
        found = collections.defaultdict(set)
        for line in self.deliveries:
            if line["queue"] is not None:
                found[line["topic"], self.uid(line)].add((line["queue"], line["offset"]))
        return found


def outcome(send):
    if send["ok"]:
        return "ok"
    return "refused" if send["code"] in DEFINITE_REFUSALS else "unknown"


def place(line):
    return f"queue {line['queue']} offset {line['offset']}"


def ambiguous(copies, topic, uid, offset):
    """Whether copies of the message stand at this offset in several queues: which one is meant?"""
    return sum(other == offset for _, other in copies[topic, uid]) > 1


def check_content(history, report):
    """Every delivered message was sent, as it was sent."""
    for line in history.deliveries:
        uid = history.uid(line)
        send = history.sends.get(uid)
        where = f"{uid} ({line['id']}) in group {line['group']}"
        if send is None:
            report.add("phantom", f"{where} was never sent")
            continue
        if outcome(send) == "refused":
            report.add("phantom", f"{where} was refused with {send['code']}")
        if send["sha"] != line["sha"]:
            report.add("body mismatch", f"{where}: {send['size']} bytes sent, {line['size']} received, "
                                        "digests differ")
        if send["id"] and send["id"] != line["id"]:
            report.add("id mismatch", f"{where} was sent as {send['id']}")
        if not line["topic"].startswith(DLQ_PREFIX) and send["topic"] != line["topic"]:
            report.add("topic mismatch", f"{where} was sent to {send['topic']}, came from {line['topic']}")


def check_missing(history, report):
    """Every acknowledged send reached every drained group, or its dead letters."""
    letters = collections.defaultdict(set)
    delivered = collections.defaultdict(set)
    for line in history.deliveries:
        if line["topic"].startswith(DLQ_PREFIX):
            letters[line["topic"][len(DLQ_PREFIX):]].add(history.uid(line))
        else:
            delivered[line["group"], line["topic"]].add(history.uid(line))
    for group, topic in history.drained:
        seen = delivered[group, topic] | letters[group]
        for uid, send in history.sends.items():
            if send["topic"] == topic and outcome(send) == "ok" and uid not in seen:
                report.add("missing", f"{uid} ({send['id']}) was acknowledged at offset {send['offset']} "
                                      f"and never reached group {group}")


def check_acknowledged(history, report):
    """After an answered acknowledgement no delivery of that stored copy to that group."""
    answered = {}
    for ack in history.acks:
        if ack["ok"]:
            key = ack["group"], history.uid(ack), ack["offset"]
            answered[key] = min(answered.get(key, ack["end"]), ack["end"])
            report.counts["acks"] += 1
        else:
            report.counts["acks failed"] += 1
    copies = history.copies()
    for line in history.deliveries:
        uid = history.uid(line)
        end = answered.get((line["group"], uid, line["offset"]))
        if end is None or line["t"] <= end or line["topic"].startswith(DLQ_PREFIX):
            continue
        if ambiguous(copies, line["topic"], uid, line["offset"]):
            report.counts["ambiguous copies"] += 1
            continue
        report.add("delivered after ack", f"{uid} in group {line['group']}: attempt {line['attempt']} came "
                                          f"{(line['t'] - end) / 1e6:.1f} ms after its acknowledgement "
                                          "was answered")


def check_offsets(history, report, strict):
    """One offset holds one message; drained queues have no gap; order in a queue is the order of time."""
    copies = history.copies()
    holders = collections.defaultdict(dict)  # (topic, queue) -> offset -> uid
    for (topic, uid), places in copies.items():
        for queue, offset in places:
            other = holders[topic, queue].setdefault(offset, uid)
            if other != uid:
                report.add("offset not unique", f"{topic} queue {queue} offset {offset} holds {other} "
                                                f"and {uid}")
        if len(places) > 1 and not topic.startswith(DLQ_PREFIX):
            report.counts["stored more than once"] += 1
            if strict:
                report.add("stored twice", f"{uid} in {topic}: {sorted(places)}")
    drained_topics = {topic for _, topic in history.drained}
    for (topic, queue), offsets in holders.items():
        if topic in drained_topics:
            check_gaps(topic, queue, offsets, report)
            check_real_time(history, copies, topic, queue, offsets, report)
    for uid, send in history.sends.items():
        places = copies.get((send["topic"], uid))
        if send["ok"] and send["offset"] >= 0 and places and send["topic"] in drained_topics:
            if send["offset"] not in {offset for _, offset in places}:
                report.add("receipt offset", f"{uid} was acknowledged at offset {send['offset']}, "
                                             f"delivered from {sorted(places)}")


def check_gaps(topic, queue, offsets, report):
    missing = sorted(set(range(min(offsets), max(offsets) + 1)) - set(offsets))
    if missing:
        report.add("gap", f"{topic} queue {queue}: nothing at offsets {missing[:10]} "
                          f"between {min(offsets)} and {max(offsets)}")


def check_real_time(history, copies, topic, queue, offsets, report):
    """A send that began after another had returned never has the smaller offset."""
    latest_start, latest_uid = -1, None
    for offset in sorted(offsets):
        uid = offsets[offset]
        send = history.sends.get(uid)
        if send is None or not send["ok"] or len(copies[topic, uid]) > 1:
            continue
        if latest_start > send["end"]:
            report.add("offset order", f"{topic} queue {queue}: {latest_uid} began after {uid} had "
                                       f"returned and stands before its offset {offset}")
        if send["start"] > latest_start:
            latest_start, latest_uid = send["start"], uid


def check_dead_letters(history, report):
    """One dead letter per stored copy and group, with its origin, and no delivery after it."""
    copies = history.copies()

    def copies_of(uid):
        send = history.sends.get(uid)
        return max(1, len(copies[send["topic"], uid])) if send else 1

    letters = collections.defaultdict(set)
    first_seen = {}
    for line in history.deliveries:
        if not line["topic"].startswith(DLQ_PREFIX):
            continue
        group, uid = line["topic"][len(DLQ_PREFIX):], history.uid(line)
        first_seen.setdefault((group, uid), line["t"])
        if line["queue"] is None:
            continue
        letters[group, uid].add((line["queue"], line["offset"]))
        send = history.sends.get(uid)
        origin = line["origin"]
        if origin is None:
            report.add("dead letter without origin", f"{uid} of group {group}")
        elif send and (origin["topic"] != send["topic"] or send["id"] not in ("", origin["id"])):
            report.add("dead letter without origin", f"{uid} of group {group}: origin {origin}, sent as "
                                                     f"{send['id']} to {send['topic']}")
    for (group, uid), places in letters.items():
        if len(places) > copies_of(uid):
            report.add("dead letter twice", f"{uid} of group {group}: {sorted(places)}")
    for line in history.deliveries:
        uid = history.uid(line)
        seen = first_seen.get((line["group"], uid))
        if seen is None or line["t"] <= seen or line["topic"].startswith(DLQ_PREFIX):
            continue
        if copies_of(uid) == 1:
            report.add("delivered after its dead letter", f"{uid} in group {line['group']}")
    report.counts["dead letters"] = len(first_seen)


def check_attempts(history, report, strict):
    """The attempt number never goes back; without faults it counts up by one from 1."""
    copies = history.copies()
    for (group, topic, uid, offset), lines in history.by_copy().items():
        if topic.startswith(DLQ_PREFIX) or ambiguous(copies, topic, uid, offset):
            continue
        report.counts["delivered again"] += len(lines) - 1
        for before, after in zip(lines, lines[1:]):
            if after["attempt"] < before["attempt"]:
                report.add("attempt went back", f"{uid} in group {group}: {before['attempt']}, then "
                                                f"{after['attempt']}")
        if not strict:
            continue
        if [line["attempt"] for line in lines] != list(range(1, len(lines) + 1)):
            report.add("attempts", f"{uid} in group {group}: {[line['attempt'] for line in lines]}")
        if len(lines) > 1 and (group, uid) not in history.disturbed:
            report.add("delivered twice", f"{uid} in group {group}, without a reason")


def check(lines, strict=False):
    history = History(lines)
    report = Report()
    report.counts["deliveries"] = len(history.deliveries)
    for send in history.sends.values():
        report.counts["sends " + outcome(send)] += 1
    check_content(history, report)
    check_missing(history, report)
    check_acknowledged(history, report)
    check_offsets(history, report, strict)
    check_dead_letters(history, report)
    check_attempts(history, report, strict)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strict", action="store_true", help="the history has no faults")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    lines = []
    for name in options.files:
        with open(name) as history:
            lines += [json.loads(line) for line in history]
    report = check(lines, options.strict)
    print(report.text())
    sys.exit(1 if report.violations else 0)


if __name__ == "__main__":
    main()
