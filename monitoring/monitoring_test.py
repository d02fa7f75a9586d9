"""Dashboards, rules and documents agree, and promtool accepts them.

    python3 monitoring/monitoring_test.py
"""

import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from monitoring import dashboards, drawing, pictures  # noqa: E402 (the path comes first)
from monitoring.prometheus import Series, expand, panels, variables  # noqa: E402
from monitoring.units import show, ticks  # noqa: E402

RULES = sorted((ROOT / "helm/millrace/files/rules").glob("*.yaml"))
CASES = ROOT / "monitoring/rules_test.yaml"
UNPACKED = ROOT / "build/e2e/prometheus/usr/bin"
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=str(UNPACKED))
BOARDS = dashboards.DASHBOARDS


def rule_names(kind):
    """Names of the rules: kind is alert or record."""
    return re.findall(rf"^ *- {kind}: (\S+)$", "\n".join(path.read_text() for path in RULES), re.M)


def without_comments(path):
    return re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.M)


def documented_families():
    """Family -> its labels and those of every sample, from the tables of docs/metrics.md."""
    return set(re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram)", (ROOT / "docs/metrics.md").read_text(), re.M))


def families_in(text):
    """Names of metrics in PromQL, histograms without the suffix of their series."""
    names = set(re.findall(r"\b(?:rocketmq|millrace|process)_\w+", text))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def expressions():
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield f"{name}, {panel['title']}", target["expr"]


class Dashboards(unittest.TestCase):
    def test_the_files_are_what_the_script_says(self):
        self.assertEqual(dashboards.stale(), [], "run monitoring/dashboards.py")

    def test_changed_and_surplus_files_are_noticed(self):
        with tempfile.TemporaryDirectory() as directory, \
                unittest.mock.patch.object(dashboards, "OUT", pathlib.Path(directory)) as out:
            for path, text in dashboards.texts().items():
                path.write_text(text)
            self.assertEqual(dashboards.stale(), [])
            wrong = [out / "millrace-overview.json", out / "surplus.json"]
            for path in wrong:
                path.write_text("{}")
            self.assertEqual(dashboards.stale(), wrong)

    def test_conventions(self):
        self.assertEqual(len(BOARDS), 4)
        for name, board in BOARDS.items():
            self.assertEqual(board["uid"], name)
            self.assertIsNone(board["id"])
            self.assertEqual(board["schemaVersion"], 39)
            self.assertNotIn("__inputs", board)
            self.assertLess(len(json.dumps(board)), 200_000)
            everything = [*panels(board), *(panel for panel in board["panels"] if panel["type"] == "row")]
            numbers = [panel["id"] for panel in everything]
            self.assertEqual(len(numbers), len(set(numbers)))
            for panel in panels(board):
                where = f"{name}, {panel['title']}"
                self.assertGreater(len(panel["description"]), 10, where)
                self.assertEqual(panel["datasource"]["uid"], "${datasource}", where)
                for target in panel["targets"]:
                    self.assertEqual(target["datasource"]["uid"], "${datasource}", where)
                if panel["type"] not in ("table", "heatmap"):
                    self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], where)

    def test_no_panel_covers_another(self):
        for name, board in BOARDS.items():
            for title, row_panels in pictures.sections(board):
                cells = set()
                for panel in row_panels:
                    grid = panel["gridPos"]
                    own = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"])
                           for y in range(grid["y"], grid["y"] + grid["h"])}
                    self.assertFalse(own & cells, f"{name}, {title}, {panel['title']}")
                    self.assertLessEqual(grid["x"] + grid["w"], 24)
                    cells |= own

    def test_every_variable_exists(self):
        for name, board in BOARDS.items():
            known = set(variables(board)) | {"datasource", "__rate_interval"}
            used = set(re.findall(r"\$\{?(\w+)", json.dumps([panel["targets"] for panel in panels(board)])))
            self.assertLessEqual(used, known, name)

    def test_every_metric_is_documented(self):
        recorded = set(rule_names("record"))
        for where, expr in expressions():
            for name in re.findall(r"\bmillrace:\w[\w:]*", expr):
                self.assertIn(name, recorded, where)
            self.assertLessEqual(families_in(expr), documented_families(), where)


class Rules(unittest.TestCase):
    def test_every_metric_is_documented(self):
        for path in RULES:
            self.assertLessEqual(families_in(without_comments(path)), documented_families(), path.name)

    def test_every_recording_rule_has_a_case(self):
        cases = CASES.read_text()
        windows = re.sub(r"_rate\(5m\|30m\|1h\|6h\)", "_rate5m", cases)
        for name in rule_names("record"):
            self.assertIn(re.sub(r"ratio_rate\w+$", "ratio_rate5m", name), windows)

    def test_every_alert_fires_in_one_case_and_not_in_another(self):
        cases = CASES.read_text()
        for name in rule_names("alert"):
            self.assertRegex(cases, rf"alertname: {name}\n")
            quiet = re.search(rf"alertname: {name}, .*exp_alerts: \[\]", cases)
            # Or its case holds series that must not fire beside those that must.
            both = re.search(rf"name: .*{name}.*(two percent and one permille)", cases)
            self.assertTrue(quiet or both, name)

    def test_documents_list_every_alert(self):
        text = (ROOT / "docs/monitoring.md").read_text()
        self.assertEqual(set(re.findall(r"`(Millrace[A-Z]\w+)`", text)), set(rule_names("alert")))

    @unittest.skipUnless(PROMTOOL, "no promtool: see what scripts/install-test-deps says")
    def test_promtool_accepts_rules_and_cases(self):
        self.run_promtool("check", "rules", *map(str, RULES))
        self.run_promtool("test", "rules", str(CASES))

    @unittest.skipUnless(PROMTOOL, "no promtool: see what scripts/install-test-deps says")
    def test_promtool_accepts_every_panel_query(self):
        lines = ["groups:", "  - name: panels", "    rules:"]
        for index, (where, expr) in enumerate(expressions()):
            lines.append(f"      # {where}\n      - record: panel:{index}\n        expr: {json.dumps(expand(expr))}")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("\n".join(lines))
            file.flush()
            self.run_promtool("check", "rules", file.name)

    def run_promtool(self, *arguments):
        done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class FakePrometheus:
    """Answers every query with two series; of a histogram with its buckets."""

    def query(self, expr, time=None):
        return self.query_range(expr, 1000, 1000, 1)

    def query_range(self, expr, start, end, step):
        labels = [{"le": "1"}, {"le": "+Inf"}] if "by (le)" in expr else [
            {"consumer_group": "a<b>", "topic": "t"}, {"consumer_group": "c&d", "topic": "t"}]
        points = [(start + step * index, float(index)) for index in range(int((end - start) / step) + 1)]
        return [Series(label, [(at, value * (number + 1) + 1) for at, value in points])
                for number, label in enumerate(labels)]


class Pictures(unittest.TestCase):
    def test_every_dashboard_is_drawn_with_every_panel(self):
        for board in BOARDS.values():
            text = pictures.draw(board, FakePrometheus(), 1000, 1300)
            xml.dom.minidom.parseString(text)
            self.assertNotIn("no data", text)
            self.assertNotIn("nan", text)
            for panel in panels(board):
                self.assertIn(drawing.html.escape(panel["title"][:8]), text)

    def test_nothing_is_shown_as_no_data(self):
        class Nothing(FakePrometheus):
            def query_range(self, expr, start, end, step):
                return []
        board = BOARDS["millrace-overview"]
        self.assertEqual(pictures.draw(board, Nothing(), 1000, 1300).count("no data"), len(list(panels(board))))

    def test_a_table_joins_its_queries_by_labels(self):
        panel = next(panel for panel in panels(BOARDS["millrace-overview"]) if panel["title"] == "Largest backlogs")
        one = [Series({"consumer_group": "g", "topic": "t"}, [(0, 5.0)])]
        two = one + [Series({"consumer_group": "h", "topic": "t"}, [(0, 7.0)])]
        headings, rows = drawing.table_rows(panel, [two, one, [], [], []])
        self.assertEqual(headings[:4], ["Group", "Topic", "Unfinished", "Ready"])
        self.assertEqual(rows, [["h", "t", 7.0, None, None, None, None], ["g", "t", 5.0, 5.0, None, None, None]])


class Units(unittest.TestCase):
    def test_numbers(self):
        for value, unit, text in ((0, "s", "0 s"), (0.0021, "s", "2.1 ms"), (90, "s", "1.5 min"), (250, "ms", "250 ms"),
                                  (1536, "bytes", "1.5 KiB"), (0, "bytes", "0 B"), (1000, "short", "1k"),
                                  (999, "short", "999"), (12.345, "cps", "12.3/s"), (0.0512, "percentunit", "5.12 %"),
                                  (math.inf, "s", "∞"), (math.nan, "s", "")):
            self.assertEqual(show(value, unit), text)

    def test_ticks_are_round_and_hold_all(self):
        self.assertEqual(ticks(0, 9, "short"), [0, 2.5, 5, 7.5, 10])
        self.assertEqual(ticks(0, 0, "short")[0], 0)
        for high in (0.003, 7, 93, 1234, 1e9):
            marks = ticks(0, high, "bytes")
            self.assertGreaterEqual(marks[-1], high)
            self.assertLess(len(marks), 8)

    def test_variables_are_filled_in(self):
        self.assertEqual(expand('rate(a{b=~"$group",c=~"${topic}"}[$__rate_interval])', {"group": "g"}, "5s"),
                         'rate(a{b=~"g",c=~".*"}[5s])')


if __name__ == "__main__":
    unittest.main()
