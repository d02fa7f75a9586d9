"""Official SDKs send and receive on every way into the cluster, in plaintext and over TLS."""

import os

from auth import HIDDEN
from exchange import verify
from kube import run
from release import CLIENT_PORT, IN_CLUSTER, NAME
from sdk import Agents

COUNT = 20
FINISH_SECONDS = 60
TLS_SECRET = "clients-tls"


def make_certificate(directory, names, addresses):
    """A certificate authority and a server's certificate; paths of (authority, certificate, key)."""
    def path(name):
        return os.path.join(directory, name)
    with open(path("extensions"), "w", encoding="ascii") as file:
        file.write("subjectAltName=" + ",".join([f"DNS:{name}" for name in names] + [f"IP:{ip}" for ip in addresses]))
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run("openssl", "req", "-x509", *key, "-days", "30", "-subj", "/CN=test authority", "-keyout", path("ca.key"),
        "-out", path("ca.crt"))
    run("openssl", "req", *key, "-subj", "/CN=millrace", "-keyout", path("tls.key"), "-out", path("tls.csr"))
    run("openssl", "x509", "-req", "-in", path("tls.csr"), "-CA", path("ca.crt"), "-CAkey", path("ca.key"),
        "-CAcreateserial", "-days", "30", "-extfile", path("extensions"), "-out", path("tls.crt"))
    return path("ca.crt"), path("tls.crt"), path("tls.key")


class Paths:
    """What clients can dial; `report` takes a line per way."""

    def __init__(self, release, languages, directory, report):
        self._release = release
        self._languages = languages
        self._directory = directory
        self._report = report
        self._round = 0
        self._roots = ""

    def open_all(self):
        """A node port, and a certificate that names every way."""
        release = self._release
        service = release.kube.get("service", f"{NAME}-proxy")
        host = f"{NAME}-proxy.{release.kube.namespace}.svc.cluster.local"
        self._roots, certificate, key = make_certificate(
            self._directory, ["localhost", host], ["127.0.0.1", service["spec"]["clusterIP"], *release.kube.nodes()])
        with open(certificate, encoding="ascii") as chain, open(key, encoding="ascii") as private:
            release.set_secret(TLS_SECRET, "kubernetes.io/tls", {"tls.crt": chain.read(), "tls.key": private.read()})
        release.changed |= {"proxy.service.type": "NodePort", "tls.mode": "secret", "tls.existingSecret": TLS_SECRET}
        release.upgrade()

    def use(self, label, keys=None):
        """Every way there is; fails when one that is there does not work."""
        forward = self._release.kube.forward(f"service/{NAME}-proxy", CLIENT_PORT)
        try:
            ways = {"port-forward": (forward.address, ()), "ClusterIP": (self._release.cluster_ip(), IN_CLUSTER),
                    "NodePort": (self._release.node_port(), IN_CLUSTER)}
            for way, (address, prefix) in ways.items():
                if not address:
                    self._report(f"{label}: {way}", "skipped: not reachable from here (MILLRACE_IN_CLUSTER)")
                    continue
                for tls in (False, True):
                    counts = self._exchange(address, prefix, tls, keys)
                    self._report(f"{label}: {way}, {'TLS' if tls else 'plaintext'}", counts)
        finally:
            forward.close()

    def _exchange(self, address, prefix, tls, keys):
        """Each language sends; each receives everything with a simple and with a push consumer."""
        self._round += 1
        topic = f"path-{self._round}"
        self._release.create_topic(topic)
        options = {"endpoints": address, "topic": topic, "tls": "on" if tls else "off"}
        if tls:
            options["roots"] = self._roots
        if keys:
            options["keys_of"] = keys
        with Agents(os.path.join(self._directory, topic), prefix) as agents:
            receivers = []
            for language in self._languages:
                for kind in ("simple", "push"):
                    name = f"{topic}-{language}-{kind}"
                    self._release.create_group(name)
                    receivers.append(agents.start(language, kind, name, group=name, wait=5,
                                                  count=COUNT * len(self._languages), **options))
            for agent in receivers:
                agent.wait_ready()
            senders = [agents.start(language, "send", f"{topic}-{language}-send", count=COUNT, sizes="100,5000",
                                    **options) for language in self._languages]
            for agent in senders + receivers:
                agent.wait(FINISH_SECONDS)
            lines = agents.history()
        failed = [line for line in lines if line["op"] == "send" and not line["ok"]]
        if failed:
            raise AssertionError(f"{len(failed)} sends to {address} failed, first: {failed[0]}")
        lines += [{"op": "group", "group": agent.name, "topic": topic, "drained": True} for agent in receivers]
        counts = verify(lines).counts
        return f"{counts['sends ok']} sent, {counts['deliveries']} delivered"

    def refused(self, address, keys, cause):
        """A client without the right keys hears why, if its SDK tells; it neither sends nor receives."""
        with Agents(os.path.join(self._directory, "stranger"), IN_CLUSTER) as agents:
            agent = agents.start(self._languages[0], "send", "stranger", endpoints=address, topic="path-1", count=1,
                                 tls="off", keys_of=keys)
            try:
                agent.wait(FINISH_SECONDS)
            except AssertionError:
                pass  # some SDKs end with the error, some report it
            heard = " ".join(line.get("error") or "" for line in agent.of("error", "send"))
            if not any(text in heard for text in (cause, *HIDDEN)) or any(line["ok"] for line in agent.of("send")):
                raise AssertionError(f"a client without the right keys heard: {heard}")


