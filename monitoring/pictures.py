#!/usr/bin/env python3
"""Draws every dashboard as an SVG file, from the answers of a running Prometheus.

    python3 monitoring/pictures.py --prometheus http://127.0.0.1:9090 --out pictures --minutes 30

The pictures are no substitute for Grafana: they show what its panels would show, without a browser.
"""

import argparse
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from monitoring import drawing  # noqa: E402 (the path comes first)
from monitoring.dashboards import DASHBOARDS  # noqa: E402
from monitoring.prometheus import Prometheus, expand  # noqa: E402

COLUMN, LINE, MARGIN = 50, 30, 10
POINTS = 120


def ask(prometheus, panel, start, end, step):
    """The answer to each query of a panel."""
    answers = []
    for target in panel["targets"]:
        expr = expand(target["expr"], interval=f"{max(int(4 * step), 10)}s")
        if target["instant"]:
            answers.append(prometheus.query(expr, time=end))
        else:
            answers.append(prometheus.query_range(expr, start, end, step))
    return answers


def draw_panel(canvas, box, panel, answers, span, step):
    canvas.rect(box.x, box.y, box.w, box.h, "#ffffff", drawing.FRAME, radius=3)
    canvas.text(box.x + 10, box.y + 18, panel["title"], 12, bold=True, limit=box.w - 20)
    inner = drawing.Box(box.x + 10, box.y + 26, box.w - 20, box.h - 34)
    kind = panel["type"]
    if kind == "stat":
        drawing.draw_stat(canvas, inner, panel, answers)
    elif kind == "bargauge":
        drawing.draw_bars(canvas, inner, panel, answers)
    elif kind == "table":
        drawing.draw_table(canvas, inner, panel, answers)
    elif kind == "heatmap":
        drawing.draw_heatmap(canvas, inner, panel, answers, span, step)
    else:
        drawing.draw_graph(canvas, inner, panel, answers, span, step)


def sections(dashboard):
    """(title of the row, its panels), also of collapsed rows."""
    found = []
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            found.append((panel["title"], list(panel["panels"])))
        else:
            found[-1][1].append(panel)
    return found


def draw(dashboard, prometheus, start, end):
    """The whole dashboard as the text of an SVG file."""
    canvas = drawing.Canvas()
    step = max((end - start) / POINTS, 1)
    width = 24 * COLUMN + 2 * MARGIN
    canvas.parts.append('<rect width="100%" height="100%" fill="#f4f5f5"/>')
    canvas.text(MARGIN, 28, dashboard["title"], 18, bold=True)
    top = 44
    for title, panels in sections(dashboard):
        canvas.text(MARGIN, top + 18, "▾ " + title, 13, bold=True)
        top += 28
        first = min(panel["gridPos"]["y"] for panel in panels)
        for panel in panels:
            grid = panel["gridPos"]
            box = drawing.Box(MARGIN + grid["x"] * COLUMN + 2, top + (grid["y"] - first) * LINE + 2,
                              grid["w"] * COLUMN - 4, grid["h"] * LINE - 4)
            draw_panel(canvas, box, panel, ask(prometheus, panel, start, end, step), (start, end), step)
        top += max(panel["gridPos"]["y"] + panel["gridPos"]["h"] - first for panel in panels) * LINE
    return canvas.svg(width, top + MARGIN)


def draw_all(prometheus, out, start, end):
    """Writes OUT/NAME.svg for each dashboard and returns the paths."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, dashboard in DASHBOARDS.items():
        paths.append(out / f"{name}.svg")
        paths[-1].write_text(draw(dashboard, prometheus, start, end))
    return paths


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="address of the Prometheus")
    parser.add_argument("--out", default="pictures", help="directory of the files")
    parser.add_argument("--minutes", type=float, default=60, help="how far back the graphs go")
    options = parser.parse_args()
    end = time.time()
    for path in draw_all(Prometheus(options.prometheus), options.out, end - options.minutes * 60, end):
        print(path)


if __name__ == "__main__":
    main()
