"""Authentication is on: the right keys send and receive, others get an error that says why, no log has a secret."""

import os
import subprocess

from checker import check
from cluster import BIN, MODES, die_with_parent, free_port, wait_for
from sdk import Agents, available

FINISH_SECONDS = 60
COUNT = 4
CLUSTER_SECRET = "c3VwZXItc2VjcmV0LW9mLXRoZS1jbHVzdGVy"
RIGHT = ("orders", "8f3b7a1c9d8e7f6a")
NEXT = ("orders-2027", "1d9e0c7b5a3f2e4d")
WRONG = {"wrong secret key": ((RIGHT[0], "0000000000000000"), "signature is not that of"),
         "unknown access key": (("nobody", RIGHT[1]), "there is no user with the access key"),
         "no credentials": (None, "authentication is on here")}

# What an SDK that keeps the server's text to its own log tells its caller.
HIDDEN = ("failed to fetch topic", "to be RUNNING, but the service has FAILED")  # Python, Java


def users_file(*users):
    lines = ["users:"]
    for access_key, secret_key in users:
        lines += [f"  - accessKey: {access_key}", f"    secretKey: {secret_key}"]
    return "\n".join(lines) + "\n"


class Authentication:
    def __init__(self, cluster, directory):
        self.cluster = cluster
        self.directory = directory
        cluster.keys = RIGHT

    def run(self):
        self.cluster.create_topic("secured")
        self.right_keys_exchange_messages()
        self.others_are_told_why()
        self.a_changed_file_holds_at_once()
        self.ports_between_services_are_closed()
        self.no_log_has_a_secret()

    def right_keys_exchange_messages(self):
        with Agents(os.path.join(self.directory, "right")) as agents:
            options = {"endpoints": self.cluster.endpoints(), "topic": "secured", "keys_of": RIGHT, "tls": "off"}
            receivers = []
            for language in available():
                for kind in ("simple", "push"):
                    group = f"{language}-{kind}"
                    self.cluster.create_group(group)
                    receivers.append(agents.start(language, kind, group, group=group, wait=5,
                                                  count=COUNT * len(available()), **options))
            for agent in receivers:
                agent.wait_ready()
            senders = [agents.start(language, "send", f"{language}-send", count=COUNT, **options)
                       for language in available()]
            for agent in senders + receivers:
                agent.wait(FINISH_SECONDS)
            lines = agents.history()
            lines += [{"op": "group", "group": agent.name, "topic": "secured", "drained": True} for agent in receivers]
            report = check(lines, True)
            if report.violations or any(not line["ok"] for agent in senders for line in agent.of("send")):
                raise AssertionError("with the right keys:\n" + report.text())

    def others_are_told_why(self):
        for case, (keys, cause) in WRONG.items():
            with Agents(os.path.join(self.directory, case.replace(" ", "-"))) as agents:
                started = [agents.start(language, command, f"{language}-{command}", endpoints=self.cluster.endpoints(),
                                        topic="secured", group="strangers", count=1, keys_of=keys, tls="off")
                           for language in available() for command in ("send", "simple")]
                for agent in started:
                    wait_for(lambda: self._errors(agent), FINISH_SECONDS, f"{agent.name} hears of {case}")
                    heard = " ".join(self._errors(agent))
                    told = cause in heard and ("40100" in heard or "UNAUTHORIZED" in heard)
                    if not told and not any(text in heard for text in HIDDEN):
                        raise AssertionError(f"{agent.name} with {case} heard: {heard}")
                    if [line for line in agent.of("send", "deliver") if line.get("ok", True)]:
                        raise AssertionError(f"{agent.name} with {case} was let in")
            code, text = self._cli(keys)
            if code != 4 or cause not in text:
                raise AssertionError(f"millrace with {case} exited with {code}: {text}")

    @staticmethod
    def _errors(agent):
        return [line["error"] for line in agent.of("error", "send", "receive") if line.get("error")]

    def _cli(self, keys):
        done = subprocess.run([os.path.join(BIN, "millrace"), "topic", "list", "--admin", self.cluster.admin()],
                              env=self.cluster.environment(keys), capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr

    def a_changed_file_holds_at_once(self):
        """Rotation: both users, then the new one alone. A broken file in between changes nothing."""
        self.cluster.write_users(users_file(RIGHT, NEXT))
        wait_for(lambda: self._cli(NEXT)[0] == 0, 30, "the new user is let in")
        self.cluster.write_users("users: broken")
        wait_for(lambda: "cannot be used" in self._logs(), 30, "the broken file is reported")
        for keys in (RIGHT, NEXT):
            if self._cli(keys)[0] != 0:
                raise AssertionError("a broken file threw users out")
        self.cluster.write_users(users_file(NEXT))
        wait_for(lambda: self._cli(RIGHT)[0] == 4, 30, "the old user is refused")
        self.cluster.keys = NEXT

    def ports_between_services_are_closed(self):
        """A proxy with another secret, and one with none, never gets a route."""
        for name, secret, cause in (("stray-wrong", "another-secret-of-another-cluster", "another secret"),
                                    ("stray-none", None, "the call is not signed")):
            arguments = ["--nameserver.addresses", self.cluster.nameserver_address()]
            for key in ("proxy", "admin", "http"):
                arguments += [f"--{key}.listen", f"127.0.0.1:{free_port()}"]
            if secret is not None:
                path = os.path.join(self.directory, name + ".secret")
                with open(path, "w") as file:
                    file.write(secret)
                arguments += ["--cluster.secret-file", path]
            log_path = os.path.join(self.directory, name + ".log")
            with open(log_path, "wb") as log:
                stray = subprocess.Popen([os.path.join(BIN, "millrace-proxy"), *arguments], stdout=log, stderr=log,
                                         preexec_fn=die_with_parent)
            try:
                wait_for(lambda: cause in open(log_path, errors="replace").read(), 30, f"{name} says \"{cause}\"")
            finally:
                stray.kill()
                stray.wait()

    def _logs(self):
        text = ""
        for process in self.cluster.processes.values():
            with open(process.log_path, errors="replace") as log:
                text += log.read()
        return text

    def no_log_has_a_secret(self):
        logs = self._logs()
        if "request refused" not in logs and "up" not in self.cluster.processes:  # `up` logs warnings only
            raise AssertionError("refused requests are not in the logs")
        for secret in (CLUSTER_SECRET, RIGHT[1], NEXT[1]):
            if secret in logs:
                raise AssertionError(f"a log has the secret {secret}")


def suites(modes, directory):
    """(name, function) of each case."""
    for mode in modes:
        yield f"auth/{mode}", make_case(mode, directory)


def make_case(mode, directory):
    def run(attempt):
        place = os.path.join(directory, f"auth-{mode}-{attempt}")
        with MODES[mode](place, users=users_file(RIGHT), secret=CLUSTER_SECRET).start() as cluster:
            Authentication(cluster, place).run()
            cluster.check_alive()
    return run
