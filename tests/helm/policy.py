"""What we ask of every object of the chart. Each rule takes all objects of a release and returns what is wrong."""

import collections
import re

WORKLOADS = ("Deployment", "StatefulSet")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
# What Kubernetes puts after a StatefulSet's name in the label controller-revision-hash.
STATEFULSET_NAME_MAX = 63 - len("-0123456789")
VOLUMES = {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}  # of those that `restricted` allows
MILLI = {"m": 1}
BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}


def label_of(item):
    return f"{item['kind']} {item['metadata']['name']}"


def pods(objects):
    """(label, metadata, spec) of every pod."""
    for item in objects:
        if item["kind"] in WORKLOADS:
            yield label_of(item), item["spec"]["template"]["metadata"], item["spec"]["template"]["spec"]
        elif item["kind"] == "Pod":
            yield label_of(item), item["metadata"], item["spec"]


def containers(objects):
    for label, _, spec in pods(objects):
        for each in spec.get("initContainers", []) + spec["containers"]:
            yield f"{label} container {each['name']}", each


def restricted(objects):
    """The Pod Security Standard `restricted`, and a root file system that cannot be written."""
    problems = []
    for label, _, spec in pods(objects):
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            problems.append(f"{label}: may run as root")
        if context.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            problems.append(f"{label}: no seccomp profile")
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(key):
                problems.append(f"{label}: {key}")
        for volume in spec.get("volumes", []):
            for kind in set(volume) - {"name"} - VOLUMES:
                problems.append(f"{label}: volume {volume['name']} is a {kind}")
    for label, each in containers(objects):
        context = each.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
            problems.append(f"{label}: may gain privileges")
        if context.get("capabilities", {}).get("drop") != ["ALL"] or context["capabilities"].get("add"):
            problems.append(f"{label}: keeps capabilities")
        if context.get("readOnlyRootFilesystem") is not True:
            problems.append(f"{label}: can write its root file system")
        if any("hostPort" in port for port in each.get("ports", [])):
            problems.append(f"{label}: a port of the node")
    return problems


def quiet(objects):
    """No token of the API, no variables made of Services."""
    return [f"{label}: {key}" for label, _, spec in pods(objects)
            for key in ("automountServiceAccountToken", "enableServiceLinks") if spec.get(key) is not False]


def probes(objects):
    """A service has all three; nothing is killed before it has had time to start."""
    problems = []
    for label, each in containers([item for item in objects if item["kind"] in WORKLOADS]):
        if label.endswith("sidecar"):
            continue
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if "httpGet" not in each.get(name, {}):
                problems.append(f"{label}: no {name}")
        startup = each.get("startupProbe", {})
        if startup.get("periodSeconds", 0) * startup.get("failureThreshold", 0) < 60:
            problems.append(f"{label}: less than a minute to start")
        if each.get("livenessProbe", {}).get("httpGet", {}).get("path") == "/readyz":
            problems.append(f"{label}: what is not ready is killed")
    return problems


def images(objects):
    """A tag or a digest, never `latest`."""
    return [f"{label}: image {each['image']}" for label, each in containers(objects)
            if not re.search(r"(:[A-Za-z0-9][\w.-]*|@sha256:[0-9a-f]{64})$", each["image"])
            or each["image"].endswith(":latest")]


def mounts(objects):
    """Every mount has its volume, and none is a single file: what changes in it would not reach the pod."""
    problems = []
    for item in objects:
        if item["kind"] not in (*WORKLOADS, "Pod"):
            continue
        spec = item["spec"]["template"]["spec"] if item["kind"] in WORKLOADS else item["spec"]
        known = [volume["name"] for volume in spec.get("volumes", [])]
        known += [claim["metadata"]["name"] for claim in item["spec"].get("volumeClaimTemplates", [])]
        problems += [f"{label_of(item)}: two volumes {name}" for name in {n for n in known if known.count(n) > 1}]
        for each in spec["containers"]:
            paths = [mount["mountPath"] for mount in each.get("volumeMounts", [])]
            if len(paths) != len(set(paths)):
                problems.append(f"{label_of(item)}: two mounts at one path")
            for mount in each.get("volumeMounts", []):
                if mount["name"] not in known:
                    problems.append(f"{label_of(item)}: no volume {mount['name']}")
                if "subPath" in mount or "subPathExpr" in mount:
                    problems.append(f"{label_of(item)}: subPath in {mount['mountPath']}")
    return problems


def resources(objects):
    """Requests of CPU and memory and a limit of memory everywhere."""
    problems = []
    for label, each in containers(objects):
        given = each.get("resources", {})
        if not {"cpu", "memory"} <= set(given.get("requests", {})) or "memory" not in given.get("limits", {}):
            problems.append(f"{label}: resources {given}")
    return problems


def amount(text, units):
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text))
    return float(match[1]) * (units[match[2]] if match[2] else units.get("", 1))


def requested(objects):
    """(CPUs in thousandths, bytes) that all pods of the release request together."""
    cpu = memory = 0
    for item in objects:
        if item["kind"] not in WORKLOADS:
            continue
        for each in item["spec"]["template"]["spec"]["containers"]:
            wanted = each["resources"]["requests"]
            cpu += item["spec"]["replicas"] * amount(wanted["cpu"], {"m": 1, "": 1000})
            memory += item["spec"]["replicas"] * amount(wanted["memory"], BYTES)
    return cpu, memory


def matches(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def selectors(objects):
    """A workload selects its own pods and those of no other; so does each budget; a Service finds pods and ports."""
    problems = []
    templates = {label_of(item): item["spec"]["template"] for item in objects if item["kind"] in WORKLOADS}
    others = {label: meta for label, meta, _ in pods(objects) if label.startswith("Pod ")}
    everyone = {**{label: each["metadata"] for label, each in templates.items()}, **others}
    budgets = collections.Counter()
    for item in objects:
        label = label_of(item)
        if item["kind"] in WORKLOADS:
            wanted, expected = item["spec"]["selector"]["matchLabels"], [label]
        elif item["kind"] == "PodDisruptionBudget":
            wanted, expected = item["spec"]["selector"]["matchLabels"], None
        elif item["kind"] == "Service":
            wanted, expected = item["spec"]["selector"], None
        else:
            continue
        found = [name for name, meta in everyone.items() if matches(wanted, meta["labels"])]
        if expected is not None and found != expected:
            problems.append(f"{label} selects {found}")
        if item["kind"] == "PodDisruptionBudget":
            budgets.update(found)
            if len(found) != 1:
                problems.append(f"{label} selects {found}")
        if item["kind"] == "Service":
            if not found or any(name.startswith("Pod ") for name in found):
                problems.append(f"{label} selects {found}")
            for name in found:
                named = {port["name"] for each in templates[name]["spec"]["containers"]
                         for port in each.get("ports", [])}
                problems += [f"{label}: {name} has no port {port['targetPort']}" for port in item["spec"]["ports"]
                             if port["targetPort"] not in named]
    problems += [f"{label} has {budgets[label]} budgets" for label in templates if budgets[label] != 1]
    return problems


def names(objects):
    """Short enough for every label made of them; nothing is there twice; everything is in a namespace and labelled."""
    problems = []
    for item in objects:
        name, kind = item["metadata"]["name"], item["kind"]
        limit = STATEFULSET_NAME_MAX if kind == "StatefulSet" else 63
        if len(name) > limit or not NAME.fullmatch(name):
            problems.append(f"{label_of(item)}: {len(name)} characters, {limit} are allowed")
        if "namespace" not in item["metadata"]:
            problems.append(f"{label_of(item)}: no namespace")
        for key, value in item["metadata"].get("labels", {}).items():
            if len(value) > 63:
                problems.append(f"{label_of(item)}: label {key} has {len(value)} characters")
    counted = collections.Counter((item["kind"], item["metadata"]["name"]) for item in objects)
    return problems + [f"{kind} {name}: {number} times" for (kind, name), number in counted.items() if number > 1]


def secrets(objects):
    """What is secret is in a Secret."""
    return [f"{label_of(item)} holds a secret" for item in objects if item["kind"] != "Secret"
            and re.search(r"secretKey\b|secret-of-", str({k: v for k, v in item.items() if k != "metadata"}))]


RULES = (restricted, quiet, probes, images, mounts, resources, selectors, names, secrets)
