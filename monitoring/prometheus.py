"""What a dashboard asks of a Prometheus: its queries with the variables filled in, and their answers."""

import json
import math
import re
import urllib.error
import urllib.parse
import urllib.request

# What Grafana fills in. "All" of a variable is its allValue.
ALL = ".*"


def panels(dashboard):
    """Every panel with queries, also those of collapsed rows, in reading order."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def variables(dashboard):
    """name -> query of the variables that list values of a label."""
    return {item["name"]: item["query"]["query"] for item in dashboard["templating"]["list"] if item["type"] == "query"}


def expand(expr, values=None, interval="15s"):
    """The expression as Grafana would send it, every variable on "All" unless `values` names it."""
    expr = expr.replace("$__rate_interval", interval)

    def value(match):
        name = match[1] or match[2]
        return (values or {}).get(name, ALL)
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, expr)


class Series:
    """A result series: labels, and (unix seconds, value) points; an instant result has one point."""

    def __init__(self, labels, points):
        self.labels = labels
        self.points = points

    @property
    def value(self):
        return self.points[-1][1]

    def name(self, legend):
        """The series under a legend of Grafana."""
        if not legend or legend == "__auto":
            return ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items()))
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: self.labels.get(match[1], ""), legend)


def _number(text):
    return {"+Inf": math.inf, "-Inf": -math.inf}.get(text) or float(text)


class Prometheus:
    """The HTTP API of a Prometheus. Its errors become ValueError with the server's words."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def get(self, path, **parameters):
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise ValueError(f"{path} {parameters}: {error.code}: {text}") from None

    def query(self, expr, time=None):
        """The series of an instant query."""
        data = self.get("query", query=expr, **({"time": time} if time else {}))
        if data["resultType"] == "scalar":
            return [Series({}, [(data["result"][0], _number(data["result"][1]))])]
        return [Series(item["metric"], [(item["value"][0], _number(item["value"][1]))]) for item in data["result"]]

    def query_range(self, expr, start, end, step):
        data = self.get("query_range", query=expr, start=start, end=end, step=step)
        return [Series(item["metric"], [(at, _number(text)) for at, text in item["values"]])
                for item in data["result"]]

    def label_values(self, variable_query):
        """What `label_values(selector, label)` of a variable lists."""
        match = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", variable_query)
        if not match:
            raise ValueError(f"not label_values(selector, label): {variable_query}")
        labels = self.get("series", **{"match[]": expand(match[1])})
        return sorted({series[match[2]] for series in labels if match[2] in series})
