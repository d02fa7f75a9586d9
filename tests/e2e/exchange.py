"""One SDK sends, every SDK receives: contents, bodies, TLS, tags, failures, dead letters."""

import itertools
import os

from checker import check
from cluster import MODES, wait_for
from sdk import Agents, available

FINISH_SECONDS = 60
LARGE = 4 * 1024 * 1024  # the largest body; the Go agent raises its SDK's own limit for it
KEYS = "order-1,order-2"
PROPERTIES = "colour=blue,greeting=grüß dich"


def verify(lines, strict=True):
    report = check(lines, strict)
    if report.violations:
        raise AssertionError("the checker found:\n" + report.text())
    return report


def compare(send, delivery):
    """Every field that the sender set must arrive."""
    expected = {"topic": send["topic"], "tag": send["tag"] or None, "keys": sorted(send["keys"]),
                "sha": send["sha"], "size": send["size"], "id": send["id"],
                "properties": {"uid": send["uid"], "colour": "blue", "greeting": "grüß dich"}}
    found = {key: delivery[key] for key in expected}
    if found != expected:
        raise AssertionError(f"{send['uid']} received by {delivery['agent']}: {found}\nsent: {expected}")


def expect(agent, expected):
    """Each of the expected sends was delivered to this agent, and nothing else."""
    deliveries = {}
    for line in agent.of("deliver"):
        deliveries.setdefault(line["uid"], line)
    missing = expected.keys() - deliveries.keys()
    surplus = deliveries.keys() - expected.keys()
    if missing or surplus:
        raise AssertionError(f"{agent.name} lacks {sorted(missing)} and has {sorted(surplus)} too much")
    for uid, send in expected.items():
        compare(send, deliveries[uid])


class Exchange:
    """The cases of one sender's language on one running cluster."""

    def __init__(self, cluster, language, directory):
        self.cluster = cluster
        self.language = language
        self.directory = directory
        self._proxies = itertools.cycle(cluster.tls_proxies())

    def cases(self):
        return {"basic": lambda: self.contents("basic", tls=False),
                "tls": lambda: self.contents("tls", tls=True),
                "failures": self.failures}

    def _options(self, topic, language, tls=False):
        options = {"endpoints": self.cluster.endpoints(), "topic": topic, "tls": "on" if tls else "off"}
        if tls and language == "python":
            # gRPC cannot verify the name of a server that is one of several addresses, so this SDK, the
            # only one that verifies, gets one proxy at a time.
            options["endpoints"], options["roots"] = next(self._proxies)
        return options

    def contents(self, case, tls):
        """Simple and push consumers of every language read what this language sends."""
        topic = f"{case}-{self.language}"
        self.cluster.create_topic(topic)
        count = 6  # tags alternate, sizes cycle: each tag meets each size
        with Agents(os.path.join(self.directory, case)) as agents:
            receivers = {}
            for language in available():
                # One of the two subscribes to one tag only.
                kinds = ("simple", "push") if language == self.language else ("push", "simple")
                for kind, tags in zip(kinds, ("*", "red")):
                    name = f"{language}-{kind}"
                    receivers[name] = tags
                    self.cluster.create_group(f"{topic}-{name}")
                    agents.start(language, kind, name, group=f"{topic}-{name}", wait=5, filter=tags,
                                 count=count if tags == "*" else count // 2, **self._options(topic, language, tls))
            for agent in agents.all:
                agent.wait_ready()
            sender = agents.start(self.language, "send", "sender", count=count, tag="red,green", keys=KEYS,
                                  properties=PROPERTIES, sizes=f"100,1,{LARGE}",
                                  **self._options(topic, self.language, tls))
            sender.wait(FINISH_SECONDS)
            sends = {line["uid"]: line for line in sender.of("send")}
            failed = [line["error"] for line in sends.values() if not line["ok"]]
            if failed or len(sends) != count:
                raise AssertionError(f"{len(sends)} of {count} sends, {len(failed)} failed: {failed[:1]}")
            for agent in agents.all:
                agent.wait(FINISH_SECONDS)
                if agent is not sender:
                    tags = receivers[agent.name]
                    expect(agent, {uid: send for uid, send in sends.items() if tags in ("*", send["tag"])})
            self._verify_drained(agents, topic, [f"{topic}-{name}" for name, tags in receivers.items()
                                                 if tags == "*"])

    @staticmethod
    def _verify_drained(agents, topic, groups):
        lines = agents.history()
        for group in groups:
            lines.append({"op": "group", "group": group, "topic": topic, "drained": True})
        verify(lines)

    def failures(self):
        """A failed delivery comes again; the last attempt ends in the dead-letter queue."""
        topic = f"failures-{self.language}"
        count = 3
        self.cluster.create_topic(topic)
        dead = {"push": f"{topic}-push", "simple": f"{topic}-simple"}
        retried = f"{topic}-retried"
        for group in dead.values():
            self.cluster.create_group(group, max_attempts=2, backoff="100,200")
        self.cluster.create_group(retried, max_attempts=5, backoff="100,200")
        with Agents(os.path.join(self.directory, "failures")) as agents:
            options = self._options(topic, self.language)
            consumers = [
                agents.start(self.language, "push", "push-fails", group=dead["push"], fail="all", **options),
                agents.start(self.language, "simple", "simple-nacks", group=dead["simple"], wait=5,
                             action="change:0", **options),
                agents.start(self.language, "push", "push-fails-first", group=retried, fail="first:1",
                             count=count, **options)]
            for agent in consumers:
                agent.wait_ready()
            sender = agents.start(self.language, "send", "sender", count=count, tag="red", keys=KEYS,
                                  properties=PROPERTIES, **options)
            sender.wait(FINISH_SECONDS)
            consumers[2].wait(FINISH_SECONDS)
            sends = {line["uid"]: line for line in sender.of("send")}
            for agent, group in zip(consumers, dead.values()):
                wait_for(lambda: len(agent.of("deliver")) >= 2 * count, FINISH_SECONDS,
                         lambda: f"{agent.name} gets {count} messages twice: it has {agent.summary()}")
                self._read_letters(agents, group, sends)
            for agent in consumers:
                attempts = {}
                for line in agent.of("deliver"):
                    attempts.setdefault(line["uid"], []).append(line["attempt"])
                if attempts != {uid: [1, 2] for uid in sends}:
                    raise AssertionError(f"{agent.name} saw the attempts {attempts}")
            report = verify(agents.history())
            if report.counts["dead letters"] != 2 * count:
                raise AssertionError(f"{report.counts['dead letters']} dead letters, not {2 * count}")

    def _read_letters(self, agents, group, sends):
        """The Python agent reads them: it shows the origin of a dead letter."""
        topic = "%DLQ%" + group
        reader_group = f"undertaker-{group}"
        self.cluster.create_group(reader_group)
        language = "python" if "python" in available() else self.language
        reader = agents.start(language, "simple", f"letters-{group}", group=reader_group, wait=5,
                              count=len(sends), **self._options(topic, language))
        reader.wait(FINISH_SECONDS)
        letters = {line["uid"]: line for line in reader.of("deliver")}
        if letters.keys() != sends.keys():
            raise AssertionError(f"{topic} holds {sorted(letters)}, not {sorted(sends)}")
        for uid, letter in letters.items():
            compare(dict(sends[uid], topic=topic), letter)


def suites(language, modes, only, directory):
    """(name, function) of each case; a function starts its own cluster, so it can be repeated."""
    for mode in modes:
        for case in ("basic", "tls", "failures"):
            if not only or case in only:
                yield f"{language}/{mode}/{case}", make_case(language, mode, case, directory)


def make_case(language, mode, case, directory):
    def run(attempt):
        place = os.path.join(directory, f"{language}-{mode}-{case}-{attempt}")
        with MODES[mode](place).start() as cluster:
            Exchange(cluster, language, place).cases()[case]()
            cluster.check_alive()
    return run
