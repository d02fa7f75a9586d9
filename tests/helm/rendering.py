"""Runs helm on our chart and gives back the objects."""

import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "helm" / "millrace"
K8S_HOME = pathlib.Path(os.environ.get("K8S_HOME", "/opt/k8s"))
KUBE_VERSION = "1.35.0"


def tool(name):
    """Path of a program: from K8S_HOME/bin, else from PATH; None when there is none."""
    own = K8S_HOME / "bin" / name
    return str(own) if own.exists() else shutil.which(name)


def schemas():
    """Folder of JSON schemas of the Kubernetes API: KUBERNETES_SCHEMAS, else the newest of K8S_HOME; or None."""
    if os.environ.get("KUBERNETES_SCHEMAS"):
        return pathlib.Path(os.environ["KUBERNETES_SCHEMAS"])
    folders = sorted((K8S_HOME / "schemas").glob("v*"))
    return folders[-1] if folders else None


def scenarios():
    """Name to values file; the empty one is the default."""
    files = {path.name.removesuffix("-values.yaml"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
    return {"default": None, "production": CHART / "values-production.yaml", **files}


class RenderError(Exception):
    """What helm said when it refused."""


def helm(*arguments):
    done = subprocess.run([tool("helm"), *map(str, arguments)], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RenderError(done.stderr)
    return done.stdout


@functools.lru_cache(maxsize=None)
def text(values=None, sets=(), release="millrace", namespace="mq", chart=CHART, more=()):
    """What `helm template` prints; values: a file; sets: "key=value", as --set takes them."""
    arguments = ["template", release, chart, "--namespace", namespace, "--kube-version", KUBE_VERSION]
    if values:
        arguments += ["--values", values]
    for pair in sets:
        arguments += ["--set", pair]
    return helm(*arguments, *more)


def load(body):
    """The documents of a YAML text."""
    import yaml  # missing: the whole suite is skipped
    return [each for each in yaml.load_all(body, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if each]


@functools.lru_cache(maxsize=None)
def _objects(values, sets, options):
    return load(text(values, sets, **dict(options)))


def objects(values=None, sets=(), **options):
    """The objects of a release. Whoever changes them copies them first."""
    return list(_objects(values, tuple(sets), tuple(sorted(options.items()))))


class ChangedChart:
    """A copy of the chart in which a test may change files: with ChangedChart() as folder: ..."""

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="millrace-chart-")
        folder = pathlib.Path(self._directory.name) / "millrace"
        shutil.copytree(CHART, folder)
        return folder

    def __exit__(self, *_):
        self._directory.cleanup()
