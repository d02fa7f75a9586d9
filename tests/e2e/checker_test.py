"""A checker that flags nothing proves nothing: each corrupted history must be flagged."""

import copy
import unittest

from checker import check

TOPIC, GROUP = "orders", "billing"
MESSAGES, QUEUES = 12, 3
FAILING = 7  # this message is failed twice and becomes a dead letter


def sent(n):
    return {"op": "send", "ok": True, "id": f"ID{n}", "uid": f"u-{n}", "topic": TOPIC, "sha": f"sha{n}",
            "size": 100, "offset": n // QUEUES, "start": n * 100, "end": n * 100 + 50, "code": 20000}


def delivered(n, t, attempt=1, group=GROUP, topic=TOPIC):
    return {"op": "deliver", "group": group, "topic": topic, "id": f"ID{n}", "uid": f"u-{n}",
            "sha": f"sha{n}", "size": 100, "attempt": attempt, "queue": n % QUEUES,
            "offset": n // QUEUES, "origin": None, "t": t}


def acked(n, t, ok=True):
    return {"op": "ack", "ok": ok, "group": GROUP, "id": f"ID{n}", "uid": f"u-{n}",
            "offset": n // QUEUES, "start": t - 10, "end": t, "code": 20000 if ok else 40013}


def failed(n, attempt):
    return {"op": "handled", "ok": False, "group": GROUP, "id": f"ID{n}", "uid": f"u-{n}",
            "attempt": attempt, "start": 0, "end": 0}


def letter(n, t, offset=0):
    line = delivered(n, t, topic="%DLQ%" + GROUP, group="undertaker")
    return dict(line, queue=0, offset=offset, origin={"topic": TOPIC, "id": f"ID{n}"})


def clean():
    lines = [sent(n) for n in range(MESSAGES)]
    for n in range(MESSAGES):
        lines.append(delivered(n, 10_000 + n * 100))
        if n == FAILING:
            lines += [failed(n, 1), delivered(n, 20_000, attempt=2), failed(n, 2), letter(n, 30_000)]
        else:
            lines.append(acked(n, 10_050 + n * 100))
    lines.append({"op": "group", "group": GROUP, "topic": TOPIC, "drained": True})
    return lines


def find(lines, op, n, **more):
    for line in lines:
        if line["op"] == op and line["uid"] == f"u-{n}" and all(line[k] == v for k, v in more.items()):
            return line
    raise KeyError((op, n))


class CleanHistories(unittest.TestCase):
    def test_clean_history_passes(self):
        report = check(clean(), strict=True)
        self.assertEqual(report.violations, [])
        self.assertEqual(report.counts["sends ok"], MESSAGES)
        self.assertEqual(report.counts["dead letters"], 1)

    def test_order_of_lines_does_not_matter(self):
        self.assertEqual(check(clean()[::-1], strict=True).violations, [])

    def test_unknown_send_may_be_stored_or_not(self):
        for stored in (True, False):
            lines = clean()
            find(lines, "send", 11).update(ok=False, code=0, offset=-1, id="")
            if not stored:
                lines = [line for line in lines if line.get("uid") != "u-11" or line["op"] == "send"]
            self.assertEqual(check(lines).violations, [], f"stored={stored}")

    def test_message_stored_twice_after_a_retry_is_counted_only(self):
        lines = clean()
        lines.append(dict(delivered(5, 15_000), queue=0, offset=4))  # the other copy was acknowledged
        lines += [letter(5, 40_000, offset=1), letter(5, 41_000, offset=2)]
        report = check(lines)
        self.assertEqual(report.violations, [])
        self.assertEqual(report.counts["stored more than once"], 1)

    def test_delivery_before_the_ack_was_answered_is_no_violation(self):
        lines = clean()
        lines.append(delivered(3, find(lines, "ack", 3)["end"] - 1))
        self.assertEqual(check(lines).violations, [])

    def test_redelivery_after_a_failed_ack_is_no_violation(self):
        lines = clean()
        find(lines, "ack", 3).update(ok=False, code=0)
        lines.append(delivered(3, 50_000, attempt=2))
        self.assertEqual(check(lines).violations, [])

    def test_group_that_is_not_drained_may_lack_messages(self):
        lines = [line for line in clean() if line["op"] in ("send", "group")]
        lines[-1]["drained"] = False
        self.assertEqual(check(lines).violations, [])


def corrupted():
    """(kind that must be reported, strict, corruption) for each way in which a history can be wrong."""
    def drop_delivery(lines):
        lines[:] = [line for line in lines if line["op"] == "send" or line.get("uid") != "u-4"]

    def drop_last_of_queue(lines):
        lines[:] = [line for line in lines if line["op"] == "send" or line.get("uid") != "u-11"]

    def never_sent(lines):
        lines.remove(find(lines, "send", 4))

    def refused_but_delivered(lines):
        find(lines, "send", 4).update(ok=False, code=41301)

    def other_body(lines):
        find(lines, "deliver", 4)["sha"] = "sha5"

    def other_id(lines):
        find(lines, "deliver", 4)["id"] = "ID999"

    def other_topic(lines):
        find(lines, "deliver", 4)["topic"] = "invoices"

    def after_ack(lines):
        lines.append(delivered(4, find(lines, "ack", 4)["end"] + 1, attempt=2))

    def after_ack_known_by_id(lines):
        ack = find(lines, "ack", 4)
        lines.append(delivered(4, ack["end"] + 1, attempt=2))
        del ack["uid"]

    def same_offset(lines):
        find(lines, "deliver", 4).update(queue=1, offset=0)

    def gap(lines):
        for line in lines:  # the queue's middle message vanishes from both ends
            if line["op"] == "send" and line["uid"] == "u-4":
                line.update(ok=False, code=0, offset=-1)
        lines[:] = [line for line in lines if line["op"] == "send" or line.get("uid") != "u-4"]

    def wrong_receipt(lines):
        find(lines, "send", 4)["offset"] = 3

    def order(lines):
        find(lines, "send", 1).update(start=90_000, end=90_050)

    def stored_twice(lines):
        lines.append(dict(delivered(5, 10_550), queue=0, offset=4))

    def second_letter(lines):
        lines.append(letter(FAILING, 31_000, offset=1))

    def letter_without_origin(lines):
        find(lines, "deliver", FAILING, topic="%DLQ%" + GROUP)["origin"] = None

    def letter_of_another(lines):
        find(lines, "deliver", FAILING, topic="%DLQ%" + GROUP)["origin"]["id"] = "ID1"

    def after_letter(lines):
        lines.append(delivered(FAILING, 40_000, attempt=3))

    def attempt_back(lines):
        find(lines, "deliver", FAILING, attempt=1)["attempt"] = 3

    def attempt_skipped(lines):
        find(lines, "deliver", FAILING, attempt=2)["attempt"] = 3

    def twice_without_reason(lines):
        lines.append(delivered(3, find(lines, "deliver", 3)["t"] + 1, attempt=2))

    return [("missing", False, drop_delivery), ("missing", False, drop_last_of_queue),
            ("phantom", False, never_sent), ("phantom", False, refused_but_delivered),
            ("body mismatch", False, other_body), ("id mismatch", False, other_id),
            ("topic mismatch", False, other_topic), ("delivered after ack", False, after_ack),
            ("delivered after ack", False, after_ack_known_by_id),
            ("offset not unique", False, same_offset), ("gap", False, gap),
            ("receipt offset", False, wrong_receipt), ("offset order", False, order),
            ("stored twice", True, stored_twice), ("dead letter twice", False, second_letter),
            ("dead letter without origin", False, letter_without_origin),
            ("dead letter without origin", False, letter_of_another),
            ("delivered after its dead letter", False, after_letter),
            ("attempt went back", False, attempt_back), ("attempts", True, attempt_skipped),
            ("delivered twice", True, twice_without_reason)]


class CorruptedHistories(unittest.TestCase):
    def test_each_corruption_is_flagged(self):
        for kind, strict, corrupt in corrupted():
            with self.subTest(corrupt.__name__):
                lines = copy.deepcopy(clean())
                corrupt(lines)
                report = check(lines, strict)
                self.assertIn(kind, report.kinds(), report.text())
                self.assertIn(kind, report.text())


if __name__ == "__main__":
    unittest.main()
