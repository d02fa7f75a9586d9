"""The chart, rendered: schemas, policies, golden texts, values that are refused. Needs no cluster.

    python3 tests/helm/chart_test.py            tools from PATH or K8S_HOME/bin (default /opt/k8s)
    UPDATE_GOLDEN=1 python3 tests/helm/chart_test.py   writes tests/helm/golden anew

What is not there is skipped by name: helm, kubeconform, schemas (KUBERNETES_SCHEMAS), PyYAML, our programs
(MILLRACE_BIN).
"""

import copy
import difflib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import policy
import rendering
from rendering import CHART, RenderError, objects, scenarios, text

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden"
BIN = pathlib.Path(os.environ.get("MILLRACE_BIN", rendering.ROOT / "build/release/bin"))
LONG_RELEASE = "a-release-with-the-longest-name-that-helm-takes-aaaaaa"[:53]
# Kinds whose schemas come with their operators, not with Kubernetes.
FOREIGN = "ServiceMonitor,PrometheusRule,Certificate"
# Rendered in full into tests/helm/golden; dashboards and rules have tests of their own.
GOLDENS = ("default", "everything")
WITHOUT_FILES = ("metrics.dashboards.enabled=false", "metrics.prometheusRule.enabled=false",
                 "metrics.rules.enabled=false")


def of_kind(items, kind):
    return [item for item in items if item["kind"] == kind]


def named(items, kind, name):
    return next(item for item in items if item["kind"] == kind and item["metadata"]["name"] == name)


class Rendered(unittest.TestCase):
    """Every scenario of helm/millrace/ci."""

    def each(self, check, releases=("millrace", LONG_RELEASE)):
        """Calls check(values, release) for every scenario and release."""
        for name, values in scenarios().items():
            for release in releases:
                with self.subTest(scenario=name, release=release):
                    check(values, release)

    def test_lint(self):
        def check(values, _):
            rendering.helm("lint", "--strict", CHART, *(["--values", values] if values else []))
        self.each(check, releases=("millrace",))

    def test_policies(self):
        def check(values, release):
            problems = [problem for rule in policy.RULES for problem in rule(objects(values, release=release))]
            self.assertFalse(problems, "\n".join(problems))
        self.each(check)

    def test_the_api_takes_every_object(self):
        program, folder = rendering.tool("kubeconform"), rendering.schemas()
        if not program or not folder:
            self.skipTest("no kubeconform or no schemas of the Kubernetes API")
        location = str(folder) + "/{{.ResourceKind}}{{.KindSuffix}}.json"

        def check(values, release):
            done = subprocess.run([program, "-strict", "-summary", "-skip", FOREIGN, "-schema-location", location],
                                  input=text(values, release=release), capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.each(check)

    def test_the_same_values_give_the_same_text(self):
        def check(values, release):
            first = text(values, release=release)
            text.cache_clear()
            self.assertEqual(first, text(values, release=release))
        self.each(check, releases=("millrace",))

    def test_our_programs_take_their_configuration(self):
        if not (BIN / "millrace-broker").exists():
            self.skipTest(f"no programs in {BIN}")

        def check(values, release):
            for part in ("nameserver", "broker", "proxy"):
                config = named(objects(values), "ConfigMap", f"{release}-{part}")["data"][f"{part}.yaml"]
                with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                    file.write(config)
                    file.flush()
                    done = subprocess.run([BIN / f"millrace-{part}", "--config", file.name, "--check-config"],
                                          capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, f"{part}: {done.stderr}\n{config}")
        self.each(check, releases=("millrace",))

    def test_golden_texts(self):
        for name in GOLDENS:
            with self.subTest(name):
                path = GOLDEN / f"{name}.golden"
                now = text(scenarios()[name], WITHOUT_FILES)
                if os.environ.get("UPDATE_GOLDEN"):
                    path.write_text(now)
                difference = difflib.unified_diff(path.read_text().splitlines(), now.splitlines(), "golden", "now",
                                                  lineterm="")
                self.assertEqual(path.read_text(), now, "\n".join(difference) +
                                 "\nif that is wanted: UPDATE_GOLDEN=1 python3 tests/helm/chart_test.py")


class Chart(unittest.TestCase):

    def test_all_pods_together_request_little(self):
        cpu, memory = policy.requested(objects())
        self.assertLessEqual(cpu, 1000)
        self.assertLessEqual(memory, 2**30)

    def test_what_stands_without_values(self):
        items = objects()
        self.assertEqual(named(items, "StatefulSet", "millrace-nameserver")["spec"]["replicas"], 2)
        self.assertEqual(named(items, "Deployment", "millrace-proxy")["spec"]["replicas"], 2)
        broker = named(items, "StatefulSet", "millrace-broker-0")["spec"]
        self.assertEqual(broker["replicas"], 1)
        claim, = broker["volumeClaimTemplates"]
        self.assertNotIn("storageClassName", claim["spec"])
        self.assertEqual(broker["persistentVolumeClaimRetentionPolicy"],
                         {"whenDeleted": "Retain", "whenScaled": "Retain"})
        self.assertFalse(of_kind(items, "Role") + of_kind(items, "ClusterRole"))

    def test_services_find_each_other_before_they_are_ready(self):
        for part in ("nameserver", "broker"):
            spec = named(objects(), "Service", f"millrace-{part}")["spec"]
            self.assertEqual((spec["clusterIP"], spec["publishNotReadyAddresses"]), ("None", True))

    def test_the_admin_port_stays_inside_whatever_clients_use(self):
        for kind in ("NodePort", "LoadBalancer"):
            items = objects(sets=(f"proxy.service.type={kind}",))
            outside = [each for each in of_kind(items, "Service") if each["spec"].get("type") == kind]
            self.assertEqual([port["targetPort"] for each in outside for port in each["spec"]["ports"]], ["clients"])

    def test_several_broker_sets_stay_apart(self):
        """The values allow one set so far; the templates are made for more."""
        items = objects(sets=("broker.sets=3",), more=("--skip-schema-validation",))
        self.assertFalse([problem for rule in policy.RULES for problem in rule(items)])
        sets = [each["metadata"]["name"] for each in of_kind(items, "StatefulSet") if "broker" in label(each)]
        self.assertEqual(sets, ["millrace-broker-0", "millrace-broker-1", "millrace-broker-2"])
        one = named(items, "StatefulSet", "millrace-broker-1")
        env = {each["name"]: each.get("value") for each in one["spec"]["template"]["spec"]["containers"][0]["env"]}
        self.assertEqual(env["MILLRACE_BROKER_NAME"], "millrace-broker-1")
        self.assertIn("metadata.home: millrace-broker-0",
                      named(items, "ConfigMap", "millrace-broker")["data"]["broker.yaml"])
        # A set that is added changes nothing of those that stand.
        self.assertEqual(named(items, "StatefulSet", "millrace-broker-0"),
                         named(objects(), "StatefulSet", "millrace-broker-0"))

    def test_two_releases_share_a_namespace(self):
        long_one, long_other = LONG_RELEASE[:-1] + "x", LONG_RELEASE[:-1] + "y"
        for one, other in (("millrace", "other"), ("a", "b"), (long_one, long_other)):
            first, second = objects(release=one), objects(release=other)
            self.assertFalse([problem for problem in policy.names(first + second) + policy.selectors(first + second)])

    def test_an_upgrade_changes_nothing_that_cannot_change(self):
        """Of a StatefulSet only some fields can change; a Deployment's selector cannot."""
        def fixed(items):
            keep = {}
            for item in items:
                if item["kind"] in policy.WORKLOADS:
                    spec = copy.deepcopy(item["spec"])
                    for field in ("replicas", "template", "updateStrategy", "persistentVolumeClaimRetentionPolicy",
                                  "minReadySeconds", "revisionHistoryLimit", "strategy"):
                        spec.pop(field, None)
                    keep[label(item)] = spec
            return keep
        before = fixed(objects())
        for values in (scenarios()["users"], scenarios()["production"]):
            after = fixed(objects(values, ("broker.persistence.size=20Gi", "commonLabels.team=b", "image.tag=v2",
                                           "nameserver.replicas=3", "clusterName=c", "autoCreateTopics=true")))
            self.assertEqual(before, after)
        with rendering.ChangedChart() as folder:
            file = folder / "Chart.yaml"
            file.write_text(file.read_text().replace("0.1.0", "9.9.9"))
            later = objects(chart=folder)
            self.assertEqual(before, fixed(later))
            restarted = [label(item) for item in of_kind(later, "StatefulSet") + of_kind(later, "Deployment")
                         if "9.9.9" not in str(item["spec"]["template"]["spec"]["containers"][0]["image"])]
            self.assertFalse(restarted)

    def test_a_changed_configuration_restarts_its_pods_and_no_others(self):
        def sums(items):
            return {label(item): item["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
                    for item in items if item["kind"] in policy.WORKLOADS}
        before, after = sums(objects()), sums(objects(sets=("proxy.config.proxy\\.threads=2",)))
        self.assertEqual([name for name in before if before[name] != after[name]], ["Deployment millrace-proxy"])

    def test_an_autoscaler_owns_the_number_of_proxies(self):
        items = objects(sets=("proxy.autoscaling.enabled=true",))
        self.assertNotIn("replicas", named(items, "Deployment", "millrace-proxy")["spec"])
        target = named(items, "HorizontalPodAutoscaler", "millrace-proxy")["spec"]["scaleTargetRef"]
        self.assertEqual((target["kind"], target["name"]), ("Deployment", "millrace-proxy"))

    def test_a_network_policy_covers_every_service(self):
        items = objects(sets=("networkPolicy.enabled=true",))
        covered = of_kind(items, "NetworkPolicy")
        for item in items:
            if item["kind"] in policy.WORKLOADS:
                pod = item["spec"]["template"]["metadata"]["labels"]
                self.assertTrue([each for each in covered
                                 if policy.matches(each["spec"]["podSelector"]["matchLabels"], pod)], label(item))

    def test_users_are_seen_by_proxies_alone(self):
        items = objects(scenarios()["users"])
        self.assertEqual(len(of_kind(items, "Secret")), 1)
        for item in items:
            if item["kind"] not in policy.WORKLOADS:
                continue
            volume, = [v for v in item["spec"]["template"]["spec"]["volumes"] if v["name"] == "auth"]
            keys = [entry["key"] for entry in volume["secret"]["items"]]
            self.assertEqual("users.yaml" in keys, item["kind"] == "Deployment", label(item))
            self.assertIn("cluster-secret", keys)

    def test_monitors_find_every_pod(self):
        items = objects(sets=("metrics.serviceMonitor.enabled=true",))
        monitor, = of_kind(items, "ServiceMonitor")
        wanted = monitor["spec"]["selector"]["matchLabels"]
        port = monitor["spec"]["endpoints"][0]["port"]
        found = {each["spec"]["selector"]["app.kubernetes.io/component"] for each in of_kind(items, "Service")
                 if policy.matches(wanted, each["metadata"]["labels"])
                 and port in [named_port["name"] for named_port in each["spec"]["ports"]]}
        self.assertEqual(found, {"nameserver", "broker", "proxy"})

    def test_dashboards_and_rules_come_as_they_are(self):
        on = ("metrics.prometheusRule.enabled=true", "metrics.rules.enabled=true")
        items = objects(sets=on)
        boards = [each for each in of_kind(items, "ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]
        files = sorted((CHART / "files/dashboards").glob("*.json"))
        shown = {key: value for each in boards for key, value in each["data"].items()}
        self.assertEqual({key: json.loads(value) for key, value in shown.items()},
                         {path.name: json.loads(path.read_text()) for path in files})
        rules = sorted((CHART / "files/rules").glob("*.yaml"))
        groups = [group for path in rules for group in rendering.load(path.read_text())[0]["groups"]]
        self.assertEqual(named(items, "PrometheusRule", "millrace")["spec"]["groups"] or [], groups)
        kept = named(items, "ConfigMap", "millrace-rules")["data"] or {}
        self.assertEqual({name: rendering.load(body)[0] for name, body in kept.items()},
                         {path.name: rendering.load(path.read_text())[0] for path in rules})

    def test_a_chart_without_dashboards_and_rules_renders(self):
        with rendering.ChangedChart() as folder:
            shutil.rmtree(folder / "files")
            items = objects(scenarios()["everything"], chart=folder)
            self.assertFalse([each for each in of_kind(items, "ConfigMap")
                              if "grafana_dashboard" in each["metadata"].get("labels", {})])

    def test_kubernetes_versions(self):
        for version in ("1.27.0", "1.30.0", "1.35.4-gke.100"):
            rendering.helm("template", "millrace", CHART, "--kube-version", version)
        with self.assertRaisesRegex(RenderError, "incompatible with Kubernetes"):
            rendering.helm("template", "millrace", CHART, "--kube-version", "1.26.9")

    def test_the_package_holds_what_it_needs(self):
        with tempfile.TemporaryDirectory() as folder:
            rendering.helm("package", CHART, "--destination", folder)
            package, = pathlib.Path(folder).glob("*.tgz")
            held = subprocess.run(["tar", "-tzf", package], capture_output=True, text=True, check=True).stdout.split()
            self.assertIn("millrace/values.schema.json", held)
            self.assertIn("millrace/values-production.yaml", held)
            self.assertFalse([name for name in held if name.startswith("millrace/ci/")])
            for path in (CHART / "files").rglob("*.*"):
                if not path.name.startswith("."):
                    self.assertIn("millrace/" + str(path.relative_to(CHART)), held)

    def test_values_and_schema_name_the_same_keys(self):
        values, = rendering.load((CHART / "values.yaml").read_text())
        schema = json.loads((CHART / "values.schema.json").read_text())

        def compare(node, rule, path):
            while "$ref" in rule:
                rule = schema["definitions"][rule["$ref"].rsplit("/", 1)[1]]
            if "properties" not in rule:
                return
            optional = {"digest", "claims", "requests", "limits", "rollingUpdate"}
            self.assertLessEqual(set(node) ^ set(rule["properties"]), optional, path)
            self.assertIs(rule.get("additionalProperties"), False, path)
            for key in set(node) & set(rule["properties"]):
                compare(node[key], rule["properties"][key], f"{path}.{key}")
        compare(values, schema, "values")


class Refused(unittest.TestCase):
    """Values that are wrong, and what helm says to them."""

    CASES = (
        ("proxy.replica=3", "at '/proxy': additional properties 'replica' not allowed"),
        ("unknown=1", "additional properties 'unknown' not allowed"),
        ("proxy.replicas=many", "at '/proxy/replicas': got string, want integer"),
        ("nameserver.replicas=0", "at '/nameserver/replicas': minimum: got 0, want 1"),
        ("broker.sets=2", "at '/broker/sets': maximum: got 2, want 1"),
        ("broker.persistence.size=20GB", "at '/broker/persistence/size': '20GB' does not match pattern"),
        ("broker.persistence.accessMode=ReadWriteMany", "at '/broker/persistence/accessMode': value must be one of"),
        ("broker.resources.requests.cpu=one", "at '/broker/resources/requests/cpu'"),
        ("broker.resources.request.cpu=1", "additional properties 'request' not allowed"),
        ("image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of"),
        ("image.digest=sha256:00", "at '/image': additional properties 'digest' not allowed"),
        ("broker.image.digest=sha256:00", "at '/broker/image/digest'"),
        ("tls.mode=on", "at '/tls/mode'"),
        ("tls.mode=secret", "at '/tls/existingSecret': minLength"),
        ("tls.mode=cert-manager", "at '/tls/certManager/issuerName': minLength"),
        ("auth.users[0].accessKey=a", "at '/auth/users/0': missing property 'secretKey'"),
        ("proxy.service.type=Ingress", "at '/proxy/service/type'"),
        ("proxy.service.port=0", "at '/proxy/service/port'"),
        ("fullnameOverride=Upper", "at '/fullnameOverride'"),
        ("metrics.serviceMonitor.interval=15", "at '/metrics/serviceMonitor/interval'"),
        ("listenHost=127.0.0.1", "at '/listenHost'"),
        ("commonLabels.count=1", "at '/commonLabels/count': got number, want string"),
    )

    def test_each_with_a_message_that_names_it(self):
        for pair, message in self.CASES:
            with self.subTest(pair):
                with self.assertRaises(RenderError) as refused:
                    text(sets=(pair,))
                self.assertIn(message, str(refused.exception))

    def test_users_need_a_secret_of_the_services(self):
        with self.assertRaises(RenderError) as refused:
            text(sets=("auth.users[0].accessKey=a", "auth.users[0].secretKey=12345678", "auth.clusterSecret=short"))
        self.assertIn("at '/auth/clusterSecret': minLength: got 5, want 16", str(refused.exception))


class TheRulesThemselves(unittest.TestCase):
    """Each rule finds what it is there for."""

    def broken(self, rule, change):
        items = copy.deepcopy(objects())
        self.assertFalse(rule(items))
        proxy = named(items, "Deployment", "millrace-proxy")
        change(proxy, proxy["spec"]["template"]["spec"], items)
        self.assertTrue(rule(items), rule.__name__)

    def test_they_fail(self):
        self.broken(policy.restricted, lambda _, spec, all_: spec["securityContext"].pop("runAsNonRoot"))
        self.broken(policy.restricted, lambda _, spec, all_: spec["containers"][0]["securityContext"].clear())
        self.broken(policy.restricted, lambda _, spec, all_: spec["volumes"].append({"name": "x", "hostPath": {}}))
        self.broken(policy.quiet, lambda _, spec, all_: spec.pop("enableServiceLinks"))
        self.broken(policy.probes, lambda _, spec, all_: spec["containers"][0].pop("livenessProbe"))
        self.broken(policy.probes,
                    lambda _, spec, all_: spec["containers"][0]["startupProbe"].update(failureThreshold=3))
        self.broken(policy.images, lambda _, spec, all_: spec["containers"][0].update(image="millrace-proxy"))
        self.broken(policy.images, lambda _, spec, all_: spec["containers"][0].update(image="a:5000/millrace:latest"))
        self.broken(policy.mounts, lambda _, spec, all_: spec.update(volumes=[]))
        self.broken(policy.mounts,
                    lambda _, spec, all_: spec["containers"][0]["volumeMounts"][0].update(subPath="proxy.yaml"))
        self.broken(policy.resources, lambda _, spec, all_: spec["containers"][0]["resources"].pop("limits"))
        self.broken(policy.selectors, lambda proxy, _, all_: proxy["spec"]["selector"]["matchLabels"].pop(
            "app.kubernetes.io/component"))
        self.broken(policy.selectors, lambda _, spec, all_: spec["containers"][0]["ports"].clear())
        self.broken(policy.selectors, lambda _, spec, all_: all_.remove(
            named(all_, "PodDisruptionBudget", "millrace-proxy")))
        self.broken(policy.names, lambda proxy, _, all_: proxy["metadata"].update(name="p" * 64))
        self.broken(policy.names, lambda proxy, _, all_: all_.append(proxy))
        self.broken(policy.secrets, lambda proxy, spec, all_: spec.update(secretKey="x"))


def label(item):
    return policy.label_of(item)


def missing():
    try:
        import yaml  # noqa: F401
    except ImportError:
        return "no PyYAML; apt-get install python3-yaml"
    return None if rendering.tool("helm") else f"no helm in PATH or {rendering.K8S_HOME}/bin"


if __name__ == "__main__":
    if missing():
        print(f"skipped: chart ({missing()})")
        sys.exit(77)
    unittest.main()
