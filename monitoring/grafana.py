"""The words in which dashboards.py writes dashboards: panels, rows and variables as Grafana's JSON.

Widths and heights are units of Grafana's grid, which is 24 wide. Every query takes its data source from the
variable `datasource`, so an imported dashboard works with any Prometheus.
"""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GRID = 24
TAG = "millrace"
# Grafana's units.
SECONDS, MILLISECONDS, BYTES, BYTES_PER_SECOND, PER_SECOND, NUMBER, RATIO = (
    "s", "ms", "bytes", "Bps", "cps", "short", "percentunit")


class Query:
    """A PromQL expression and the legend of its series (`{{label}}` stands for a label's value)."""

    def __init__(self, expr, legend=""):
        self.expr = expr
        self.legend = legend

    def target(self, index, instant, form="time_series"):
        return {"datasource": DATASOURCE, "refId": chr(ord("A") + index), "expr": self.expr,
                "legendFormat": self.legend or "__auto", "instant": instant, "range": not instant, "format": form}


def _panel(kind, title, description, targets, size, field, options, overrides=()):
    return {"type": kind, "title": title, "description": description, "datasource": DATASOURCE, "targets": targets,
            "gridPos": {"w": size[0], "h": size[1], "x": 0, "y": 0},
            "fieldConfig": {"defaults": field, "overrides": list(overrides)}, "options": options}


def _steps(limits):
    """limits: (value, colour) upwards; below the first of them is green."""
    steps = [{"color": "green", "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in limits]
    return {"mode": "absolute", "steps": steps}


def _mappings(names):
    return [{"type": "value", "options": {str(value): {"text": text} for value, text in names.items()}}]


def stat(title, description, unit, expr, limits=(), names=None, width=4, decimals=None):
    """One number, coloured by `limits`; `names` maps values to words."""
    field = {"unit": unit, "thresholds": _steps(limits), "color": {"mode": "thresholds"},
             "mappings": _mappings(names or {}) if names else []}
    if decimals is not None:
        field["decimals"] = decimals
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value",
               "graphMode": "none", "textMode": "value", "justifyMode": "auto", "orientation": "auto"}
    return _panel("stat", title, description, [Query(expr).target(0, instant=True)], (width, 4), field, options)


def graph(title, description, unit, *queries, stacked=False, width=12, height=8, minimum=0):
    """Lines over time."""
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if stacked else 8, "showPoints": "never",
              "stacking": {"mode": "normal" if stacked else "none", "group": "A"}}
    field = {"unit": unit, "color": {"mode": "palette-classic"}, "custom": custom}
    if minimum is not None:
        field["min"] = minimum
    options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    targets = [query.target(index, instant=False) for index, query in enumerate(queries)]
    return _panel("timeseries", title, description, targets, (width, height), field, options)


def bars(title, description, unit, query, width=12, height=8):
    """One horizontal bar per series, now."""
    field = {"unit": unit, "min": 0, "thresholds": _steps([]), "color": {"mode": "continuous-BlPu"}}
    options = {"orientation": "horizontal", "displayMode": "gradient", "showUnfilled": True,
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    return _panel("bargauge", title, description, [query.target(0, instant=True)], (width, height), field, options)


def heatmap(title, description, unit, expr, width=12, height=8):
    """Cumulative buckets (label `le`) over time, darker where more of them fall."""
    options = {"calculate": False, "cellGap": 1, "yAxis": {"unit": unit, "axisPlacement": "left"},
               "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "exponent": 0.5},
               "rowsFrame": {"layout": "auto"}, "legend": {"show": True},
               "tooltip": {"show": True, "yHistogram": False},
               "cellValues": {"unit": NUMBER}, "filterValues": {"le": 1e-9}}
    target = Query(expr, "{{le}}").target(0, instant=False, form="heatmap")
    return _panel("heatmap", title, description, [target], (width, height), {}, options)


class Column:
    """A column of numbers in a table; `limits` colour its cells."""

    def __init__(self, title, unit, expr, limits=(), decimals=None):
        self.title = title
        self.unit = unit
        self.expr = expr
        self.limits = limits
        self.decimals = decimals

    def override(self):
        properties = [{"id": "unit", "value": self.unit}]
        if self.decimals is not None:
            properties.append({"id": "decimals", "value": self.decimals})
        if self.limits:
            properties += [{"id": "thresholds", "value": _steps(self.limits)},
                           {"id": "custom.cellOptions", "value": {"type": "color-text"}}]
        return {"matcher": {"id": "byName", "options": self.title}, "properties": properties}


def table(title, description, keys, columns, sort, width=GRID, height=9):
    """A row for each combination of the labels `keys` (label -> heading); every column has exactly these labels."""
    targets = [Query(column.expr).target(index, instant=True, form="table") for index, column in enumerate(columns)]
    renames = dict(keys)
    renames.update({f"Value #{target['refId']}": column.title for target, column in zip(targets, columns)})
    # A table of one query names its column "Value", without the letter.
    renames["Value"] = columns[0].title
    order = {name: index for index, name in enumerate(renames) if name != "Value"}
    panel = _panel("table", title, description, targets, (width, height),
                   {"custom": {"align": "auto", "filterable": True}},
                   {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": sort, "desc": True}]},
                   [column.override() for column in columns])
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": renames}}]
    return panel


def row(title, *panels, collapsed=False):
    return {"type": "row", "title": title, "collapsed": collapsed, "panels": list(panels)}


def variable(name, label, query, multi=True):
    """A choice among the values of a label. "All" also takes series without that label."""
    return {"type": "query", "name": name, "label": label, "datasource": DATASOURCE,
            "query": {"query": query, "refId": name}, "definition": query, "refresh": 2, "sort": 1, "hide": 0,
            "multi": multi, "includeAll": True, "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]}}


def _datasource_variable():
    return {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "hide": 0,
            "refresh": 1, "multi": False, "includeAll": False, "current": {}}


def _filters():
    return {"type": "adhoc", "name": "filters", "label": "Filters", "datasource": DATASOURCE, "filters": []}


def _place(rows):
    """Numbers the panels and lays them out: left to right, each row below the one before."""
    placed, top, number = [], 0, 1
    for header in rows:
        inner, left, height = [], 0, 0
        line = top + 1
        for panel in header["panels"]:
            width = panel["gridPos"]["w"]
            if left + width > GRID:
                left, line, height = 0, line + height, 0
            number += 1
            inner.append(dict(panel, id=number, gridPos=dict(panel["gridPos"], x=left, y=line)))
            left += width
            height = max(height, panel["gridPos"]["h"])
        number += 1
        head = dict(header, id=number, gridPos={"w": GRID, "h": 1, "x": 0, "y": top},
                    panels=inner if header["collapsed"] else [])
        placed.append(head)
        if not header["collapsed"]:
            placed += inner
            top = line + height
        else:
            top += 1
    return placed


def dashboard(uid, title, description, variables, *rows):
    link = {"type": "dashboards", "title": "Millrace", "tags": [TAG], "asDropdown": False, "includeVars": True,
            "keepTime": True, "targetBlank": False, "icon": "external link", "url": ""}
    return {"id": None, "uid": uid, "title": title, "description": description, "tags": [TAG, "rocketmq"],
            "schemaVersion": 39, "version": 1, "editable": True, "timezone": "", "graphTooltip": 1, "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"}, "timepicker": {}, "fiscalYearStartMonth": 0,
            "annotations": {"list": []}, "links": [link],
            "templating": {"list": [_datasource_variable(), *variables, _filters()]}, "panels": _place(rows)}
