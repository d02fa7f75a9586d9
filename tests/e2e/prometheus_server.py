"""Runs a Prometheus of its own on 127.0.0.1, with our rules, and checks rule files with promtool."""

import glob
import json
import os
import shutil
import subprocess
import sys
import urllib.request

from cluster import ROOT, die_with_parent, free_port, wait_for

sys.path.insert(0, ROOT)
from monitoring.prometheus import Prometheus  # noqa: E402 (the path comes first)

UNPACKED = os.path.join(ROOT, "build", "e2e", "prometheus", "usr", "bin")
RULES = sorted(glob.glob(os.path.join(ROOT, "helm", "millrace", "files", "rules", "*.yaml")))
START_SECONDS = 30


def program(name):
    """The path of prometheus or promtool, None where it is missing."""
    return shutil.which(name) or shutil.which(name, path=UNPACKED)


class PrometheusServer(Prometheus):
    """A Prometheus that scrapes `jobs` (name -> addresses) and evaluates the rules every second."""

    def __init__(self, directory, jobs, rules=RULES):
        os.makedirs(directory, exist_ok=True)
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                  "rule_files": rules,
                  "scrape_configs": [{"job_name": name, "static_configs": [{"targets": addresses}]}
                                     for name, addresses in jobs.items()]}
        path = os.path.join(directory, "prometheus.yml")
        with open(path, "w") as file:
            json.dump(config, file, indent=2)  # JSON is YAML
        address = f"127.0.0.1:{free_port()}"
        super().__init__(f"http://{address}")
        self._log = os.path.join(directory, "prometheus.log")
        with open(self._log, "ab") as log:
            self._child = subprocess.Popen(
                [program("prometheus"), f"--config.file={path}", f"--web.listen-address={address}",
                 f"--storage.tsdb.path={os.path.join(directory, 'data')}", "--log.level=warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)

    def __enter__(self):
        wait_for(self._ready, START_SECONDS, self._why_not)
        return self

    def __exit__(self, *_):
        self._child.kill()
        self._child.wait()

    def _ready(self):
        if self._child.poll() is not None:
            raise AssertionError(f"prometheus has exited: {self._why_not()}")
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _why_not(self):
        with open(self._log, errors="replace") as log:
            return "prometheus is ready; its log: " + "".join(log.readlines()[-5:])
