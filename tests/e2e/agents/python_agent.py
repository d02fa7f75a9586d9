"""Agent of the end-to-end tests on the official Python SDK (package rocketmq-python-client).

Commands, options and output lines are the same for every agent: see ../README.md.
"""

import argparse
import hashlib
import itertools
import json
import os
import re
import sys
import threading
import time

from rocketmq import (ClientConfiguration, ConsumeResult, Credentials, FilterExpression, Message,
                      MessageListener, Producer, PushConsumer, SimpleConsumer)

_print_lock = threading.Lock()
_stop = threading.Event()


def emit(op, **fields):
    line = json.dumps({"op": op, **fields}, separators=(",", ":"))
    with _print_lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def code_of(error):
    """The in-band status code of an SDK exception, 0 where there is none (outcome unknown)."""
    code = getattr(error, "code", None)
    if callable(code):  # a gRPC status is no answer of the server's logic
        return 0
    if isinstance(code, int):
        return code
    found = re.search(r"code[:=]\s*(\d{5})", str(error), re.IGNORECASE)
    return int(found.group(1)) if found else 0


def observe_deliveries():
    """Keeps the wire fields that the SDK reads past (queue, offset, origin of a dead letter).

    Observes only: the SDK's own method does its work unchanged.
    """
    decode = Message.fromProtobuf

    def observed(self, wire):
        result = decode(self, wire)
        result.seen_at = time.monotonic_ns()
        result.wire = wire.system_properties
        return result

    Message.fromProtobuf = observed


def origin_of(wire):
    if not wire.HasField("dead_letter_queue"):
        return None
    return {"topic": wire.dead_letter_queue.topic, "id": wire.dead_letter_queue.message_id}


def report_delivery(message, group, invoke):
    emit("deliver", group=group, id=message.message_id, uid=message.properties.get("uid", ""),
         topic=message.topic, tag=message.tag, keys=sorted(message.keys),
         properties=dict(message.properties), sha=hashlib.sha256(message.body).hexdigest(),
         size=len(message.body), attempt=message.delivery_attempt, queue=message.wire.queue_id,
         offset=message.wire.queue_offset, origin=origin_of(message.wire), invoke=invoke,
         t=message.seen_at, corrupted=message.corrupted)


def timed(op, action, **fields):
    """Runs action and reports it as a history line; returns its error, None for success."""
    start = time.monotonic_ns()
    error = None
    try:
        action()
    except Exception as failure:  # every failure of the SDK is a result here
        error = failure
    emit(op, ok=error is None, start=start, end=time.monotonic_ns(),
         code=code_of(error) if error else 20000, error=describe(error), **fields)
    return error


def describe(error):
    return f"{type(error).__name__}: {error}"[:300] if error else ""


class Counter:
    """Sets the stop event once `limit` successes were counted; 0 = no limit."""

    def __init__(self, limit):
        self._limit = limit
        self._done = 0
        self._lock = threading.Lock()

    def add(self):
        with self._lock:
            self._done += 1
            if self._limit and self._done >= self._limit:
                _stop.set()


def configuration(options):
    keys = Credentials(os.environ.get("MILLRACE_ACCESS_KEY", ""), os.environ.get("MILLRACE_SECRET_KEY", ""))
    return ClientConfiguration(options.endpoints, keys)


def build_message(options, seq):
    uid = f"{options.name}-{seq}"
    size = options.sizes[seq % len(options.sizes)]
    message = Message()
    message.topic = options.topic
    text = (uid + ":").encode()
    message.body = (text * (size // len(text) + 1))[:size]
    tag = options.tag[seq % len(options.tag)] if options.tag else ""
    if tag:
        message.tag = tag
    for key in options.keys:
        message.keys = key
    for key, value in options.properties:
        message.add_property(key, value)
    message.add_property("uid", uid)
    return uid, tag, message


def send_one(options, producer, seq):
    uid, tag, message = build_message(options, seq)
    receipt, error = None, None
    start = time.monotonic_ns()
    try:
        receipt = producer.send(message)
    except Exception as failure:
        error = failure
    end = time.monotonic_ns()
    emit("send", ok=error is None, id=message.message_id, uid=uid, topic=options.topic,
         tag=tag, keys=options.keys, sha=hashlib.sha256(message.body).hexdigest(),
         size=len(message.body), offset=receipt.offset if receipt else -1, start=start, end=end,
         ms=(end - start) / 1e6, code=code_of(error) if error else 20000, error=describe(error))


def run_send(options):
    producer = Producer(configuration(options), (options.topic,), tls_enable=options.tls)
    producer.startup()
    emit("ready", sdk="python")
    numbers = itertools.count(options.first)
    number_lock = threading.Lock()
    began = time.monotonic()

    def work():
        while not _stop.is_set():
            with number_lock:
                seq = next(numbers)
            if options.count and seq >= options.first + options.count:
                return
            if options.rate:
                due = began + (seq - options.first) / options.rate
                if _stop.wait(max(0.0, due - time.monotonic())):
                    return
            send_one(options, producer, seq)

    run_workers(options.workers, work)
    return producer


def finish(options, consumer, message, counter):
    """Does with a delivery what --action says."""
    fields = {"group": options.group, "id": message.message_id,
              "uid": message.properties.get("uid", ""), "offset": message.wire.queue_offset}
    if options.action == "ack":
        if timed("ack", lambda: consumer.ack(message), **fields) is None:
            counter.add()
    elif options.action.startswith("change:"):
        seconds = int(options.action.split(":")[1])
        timed("change", lambda: consumer.change_invisible_duration(message, seconds),
              seconds=seconds, **fields)
        counter.add()
    else:
        counter.add()


def run_simple(options):
    consumer = SimpleConsumer(configuration(options), options.group,
                              {options.topic: FilterExpression(options.filter)},
                              await_duration=options.wait, tls_enable=options.tls)
    consumer.startup()
    emit("ready", sdk="python")
    counter = Counter(options.count)

    def work():
        while not _stop.is_set():
            invoke = time.monotonic_ns()
            try:
                messages = consumer.receive(options.batch, options.invisible)
            except Exception as error:
                emit("receive", ok=False, start=invoke, end=time.monotonic_ns(),
                     code=code_of(error), error=describe(error))
                _stop.wait(0.2)
                continue
            for message in messages:
                report_delivery(message, options.group, invoke)
                finish(options, consumer, message, counter)

    run_workers(options.workers, work)
    return consumer


class ObservedPushConsumer(PushConsumer):
    """A push consumer that reports when its acknowledgements are answered."""

    def _ack(self, message):
        answer = super()._ack
        error = timed("ack", lambda: answer(message), group=self.consumer_group,
                      id=message.message_id, uid=message.properties.get("uid", ""),
                      offset=message.wire.queue_offset)
        if error is not None:
            raise error


class Listener(MessageListener):
    def __init__(self, options, counter):
        self._options = options
        self._counter = counter
        self._failures = {}
        self._lock = threading.Lock()

    def consume(self, message):
        start = time.monotonic_ns()
        report_delivery(message, self._options.group, None)
        if self._options.handler_ms:
            time.sleep(self._options.handler_ms / 1000)
        failed = self._must_fail(message)
        emit("handled", group=self._options.group, id=message.message_id,
             uid=message.properties.get("uid", ""), attempt=message.delivery_attempt,
             ok=not failed, start=start, end=time.monotonic_ns())
        if failed:
            return ConsumeResult.FAILURE
        self._counter.add()
        return ConsumeResult.SUCCESS

    def _must_fail(self, message):
        kind, _, number = self._options.fail.partition(":")
        if kind == "all":
            return True
        if kind == "first":  # the first N deliveries of each message
            with self._lock:
                seen = self._failures.get(message.message_id, 0)
                self._failures[message.message_id] = seen + 1
            return seen < int(number)
        return False


def run_push(options):
    counter = Counter(options.count)
    consumer = ObservedPushConsumer(
        configuration(options), options.group, Listener(options, counter),
        {options.topic: FilterExpression(options.filter)},
        consumption_thread_count=options.workers, tls_enable=options.tls)
    consumer.startup()
    emit("ready", sdk="python")
    _stop.wait()
    # The acknowledgement of the last message follows its handler.
    time.sleep(0.5)
    return consumer


def run_workers(count, work):
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def watch_stdin():
    for line in sys.stdin:
        if line.strip() == "stop":
            break
    _stop.set()


def words(text):
    return [word for word in text.split(",") if word]


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("send", "simple", "push"))
    parser.add_argument("--endpoints", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--name", default="python")
    parser.add_argument("--tls", default=False, type=lambda text: text == "on")
    parser.add_argument("--close", default=False, type=lambda text: text == "on")
    parser.add_argument("--count", default=0, type=int)
    parser.add_argument("--first", default=0, type=int)
    parser.add_argument("--rate", default=0, type=float)
    parser.add_argument("--workers", default=1, type=int)
    parser.add_argument("--tag", default=[], type=words)
    parser.add_argument("--keys", default=[], type=words)
    parser.add_argument("--properties", default=[],
                        type=lambda text: [pair.split("=", 1) for pair in words(text)])
    parser.add_argument("--sizes", default=[100], type=lambda text: [int(n) for n in words(text)])
    parser.add_argument("--group", default="")
    parser.add_argument("--filter", default="*")
    parser.add_argument("--batch", default=16, type=int)
    parser.add_argument("--invisible", default=30, type=int)
    parser.add_argument("--wait", default=5, type=int)
    parser.add_argument("--action", default="ack")
    parser.add_argument("--handler-ms", default=0, type=int)
    parser.add_argument("--fail", default="none")
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    observe_deliveries()
    threading.Thread(target=watch_stdin, daemon=True).start()
    status = 0
    try:
        client = {"send": run_send, "simple": run_simple, "push": run_push}[options.command](options)
        if options.close:
            client.shutdown()
        emit("end", sdk="python")
    except Exception as error:
        emit("error", error=describe(error))
        status = 1
    sys.stdout.flush()
    os._exit(status)  # without a graceful close the SDK's threads would hold the process


if __name__ == "__main__":
    main()
