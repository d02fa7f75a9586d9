"""Draws panels of a dashboard as SVG from the answers of a Prometheus; no library, no font of its own."""

import html
import math
import time

from monitoring.units import show, ticks

LINES = ("#3274d9", "#e0752d", "#299c46", "#8f3bb8", "#d44a3a", "#12939a", "#b7950b", "#6f4e37", "#c2185b", "#5c6bc0")
NAMED = {"green": "#299c46", "yellow": "#c69c00", "orange": "#e0752d", "red": "#d44a3a", "blue": "#3274d9"}
INK, PALE, FRAME, GRID_LINE = "#24292e", "#6a737d", "#d8dde3", "#edf0f2"
CHAR = 0.56  # width of an average letter in ems


def width_of(text, size):
    return size * sum(0.72 if letter.isupper() or letter == "_" else CHAR for letter in text)


class Canvas:
    """A list of SVG elements."""

    def __init__(self):
        self.parts = []

    def text(self, x, y, text, size=11, fill=INK, anchor="start", bold=False, limit=None):
        if limit is not None and width_of(text, size) > limit:
            while len(text) > 1 and width_of(text + "…", size) > limit:
                text = text[:-1]
            text += "…"
        extra = ("" if anchor == "start" else f' text-anchor="{anchor}"') + (' font-weight="600"' if bold else "")
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}"{extra}>'
                          f"{html.escape(text)}</text>")

    def rect(self, x, y, w, h, fill, stroke=None, radius=0, opacity=1.0):
        extra = (f' stroke="{stroke}"' if stroke else "") + (f' rx="{radius}"' if radius else "")
        extra += f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0):.1f}" height="{max(h, 0):.1f}" '
                          f'fill="{fill}"{extra}/>')

    def line(self, x1, y1, x2, y2, stroke):
        self.parts.append(f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{stroke}"/>')

    def path(self, points, stroke, fill=None):
        """One stroke; `fill` closes it to the base line that is part of the points."""
        points = [(f"{x:.1f}", f"{y:.1f}") for x, y in points]
        # Points inside a level piece say nothing.
        kept = [point for index, point in enumerate(points)
                if not 0 < index < len(points) - 1
                or not points[index - 1][1] == point[1] == points[index + 1][1]]
        data = "M" + "L".join(f"{x} {y}" for x, y in kept)
        paint = f'fill="{fill}" fill-opacity="0.25" stroke="none"' if fill else f'fill="none" stroke="{stroke}" ' \
            'stroke-width="1.5"'
        self.parts.append(f'<path d="{data}{"Z" if fill else ""}" {paint}/>')

    def svg(self, width, height):
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                f'height="{height}" font-family="DejaVu Sans, Verdana, Helvetica, sans-serif">')
        return "\n".join([head, *self.parts, "</svg>", ""])


class Box:
    """Where a panel draws its content."""

    def __init__(self, x, y, w, h):
        self.x, self.y, self.w, self.h = x, y, w, h


def colour_of(value, thresholds):
    name = "green"
    for step in thresholds["steps"]:
        if step["value"] is None or value >= step["value"]:
            name = step["color"]
    return NAMED[name]


def worded(value, field):
    for mapping in field.get("mappings", []):
        for key, option in mapping["options"].items():
            if float(key) == value:
                return option["text"]
    return show(value, field.get("unit"), field.get("decimals"))


def no_data(canvas, box):
    canvas.text(box.x + box.w / 2, box.y + box.h / 2, "no data", 12, PALE, "middle")


def draw_stat(canvas, box, panel, answers):
    series = answers[0]
    if not series:
        return no_data(canvas, box)
    field = panel["fieldConfig"]["defaults"]
    text = worded(series[0].value, field)
    size = min(30, box.w / max(len(text), 3) / CHAR * 0.85)
    canvas.text(box.x + box.w / 2, box.y + box.h / 2 + size / 3, text, round(size),
                colour_of(series[0].value, field["thresholds"]), "middle", bold=True)


def _named(panel, answers):
    """(name, series) of all queries of a panel."""
    return [(series.name(target["legendFormat"]), series)
            for target, found in zip(panel["targets"], answers) for series in found]


def _legend(canvas, box, names):
    """Names at the bottom of the box, as many as fit in two lines; returns the height used."""
    lines, x = [[]], 0
    for index, name in enumerate(names):
        width = min(width_of(name, 10), box.w * 0.6) + 30
        if x + width > box.w and lines[-1]:
            if len(lines) == 2:
                lines[-1].append((x, f"+{len(names) - index}", None, 40))
                break
            lines.append([])
            x = 0
        lines[-1].append((x, name, LINES[index % len(LINES)], width - 20))
        x += width
    top = box.y + box.h - 15 * len(lines)
    for number, line in enumerate(lines):
        y = top + 15 * number + 10
        for x, name, colour, width in line:
            if colour:
                canvas.rect(box.x + x, y - 4, 12, 3, colour)
            canvas.text(box.x + x + 16, y, name, 10, PALE, limit=width)
    return 15 * len(lines) + 4


def draw_times(canvas, plot, span):
    marks = 3 if plot.w < 220 else 5
    for index in range(marks):
        part = index / (marks - 1)
        text = time.strftime("%H:%M:%S", time.gmtime(span[0] + (span[1] - span[0]) * part))
        anchor = "end" if index == marks - 1 else "middle"
        canvas.text(plot.x + plot.w * part, plot.y + plot.h + 14, text, 10, PALE, anchor)


class _Axes:
    """Maps time and value to the plot's pixels and draws the grid."""

    def __init__(self, canvas, box, span, values, unit, minimum):
        finite = [value for value in values if math.isfinite(value)] or [0]
        low = min(finite) if minimum is None else minimum
        marks = ticks(low, max(finite + [low]), unit)
        self._low, self._high = marks[0], marks[-1]
        self._start, self._end = span
        self.box = Box(box.x + 62, box.y + 6, box.w - 72, box.h - 26)
        for mark in marks:
            y = self.y(mark)
            canvas.line(self.box.x, y, self.box.x + self.box.w, y, GRID_LINE)
            canvas.text(self.box.x - 6, y + 3, show(mark, unit), 10, PALE, "end")
        draw_times(canvas, self.box, span)

    def x(self, at):
        return self.box.x + (at - self._start) / (self._end - self._start) * self.box.w

    def y(self, value):
        value = min(max(value, self._low), self._high)
        return self.box.y + self.box.h - (value - self._low) / (self._high - self._low) * self.box.h


def _pieces(points, step):
    """Runs of points without a gap and without values that are no number."""
    piece = []
    for at, value in points:
        if not math.isfinite(value) or piece and at - piece[-1][0] > 1.5 * step:
            if piece:
                yield piece
            piece = []
        if math.isfinite(value):
            piece.append((at, value))
    if piece:
        yield piece


def draw_graph(canvas, box, panel, answers, span, step):
    named = _named(panel, answers)
    if not named:
        return no_data(canvas, box)
    field = panel["fieldConfig"]["defaults"]
    stacked = field["custom"]["stacking"]["mode"] == "normal"
    below = {}
    shapes = []
    for _, series in named:
        points = series.points
        if stacked:
            points = [(at, value + below.get(at, 0)) for at, value in points]
            shapes.append((points, [(at, below.get(at, 0)) for at, _ in points]))
            below.update(points)
        else:
            shapes.append((points, None))
    height = _legend(canvas, box, [name for name, _ in named])
    values = [value for points, _ in shapes for _, value in points]
    axes = _Axes(canvas, Box(box.x, box.y, box.w, box.h - height), span, values, field["unit"], field.get("min"))
    for index, (points, base) in enumerate(shapes):
        colour = LINES[index % len(LINES)]
        if base:
            outline = points + base[::-1]
            canvas.path([(axes.x(at), axes.y(value)) for at, value in outline], None, fill=colour)
        for piece in _pieces(points, step):
            if len(piece) == 1:
                piece = [(piece[0][0] - step / 4, piece[0][1]), (piece[0][0] + step / 4, piece[0][1])]
            canvas.path([(axes.x(at), axes.y(value)) for at, value in piece], colour)


def draw_bars(canvas, box, panel, answers):
    named = sorted(_named(panel, answers), key=lambda item: -item[1].value)
    if not named:
        return no_data(canvas, box)
    top = max(series.value for _, series in named) or 1
    unit = panel["fieldConfig"]["defaults"]["unit"]
    pitch = min(box.h / len(named), 26)
    for index, (name, series) in enumerate(named):
        y = box.y + index * pitch
        width = (box.w - 250) * series.value / top
        canvas.text(box.x + 150, y + pitch / 2 + 4, name, 11, INK, "end", limit=150)
        canvas.rect(box.x + 158, y + 3, width, pitch - 6, LINES[0], opacity=0.75, radius=2)
        canvas.text(box.x + 166 + width, y + pitch / 2 + 4, show(series.value, unit), 11, INK)


def draw_heatmap(canvas, box, panel, answers, span, step):
    rows = {float(series.labels["le"].replace("+Inf", "inf")): dict(series.points) for series in answers[0]}
    limits = sorted(rows)
    cells = {}
    for below, limit in zip([None] + limits, limits):
        for at, value in rows[limit].items():
            own = value - (rows[below].get(at, 0) if below is not None else 0)
            if own > 1e-9 and math.isfinite(own):
                cells[(limit, at)] = own
    if not cells:
        return no_data(canvas, box)
    used = [limits.index(limit) for limit, _ in cells]
    shown = limits[max(0, min(used) - 1):max(used) + 1]
    unit = panel["options"]["yAxis"]["unit"]
    plot = Box(box.x + 62, box.y + 6, box.w - 72, box.h - 26)
    pitch = plot.h / len(shown)
    top = max(cells.values())
    width = plot.w * step / (span[1] - span[0])
    for (limit, at), value in cells.items():
        x = plot.x + (at - span[0]) / (span[1] - span[0]) * plot.w
        canvas.rect(max(x - width, plot.x), plot.y + plot.h - (shown.index(limit) + 1) * pitch, width + 0.1, pitch - 1,
                    LINES[0], opacity=0.08 + 0.92 * math.sqrt(value / top))
    for index, limit in enumerate(shown):
        y = plot.y + plot.h - (index + 0.5) * pitch + 3
        canvas.text(plot.x - 6, y, "≤ " + show(limit, unit), 10, PALE, "end")
    draw_times(canvas, plot, span)


def table_rows(panel, answers):
    """(headings, rows): each row has the texts of its labels and then its numbers (None: no sample)."""
    organize = next(step["options"] for step in panel["transformations"] if step["id"] == "organize")
    keys = [name for name in organize["renameByName"] if not name.startswith("Value")]
    merged = {}
    for index, found in enumerate(answers):
        for series in found:
            key = tuple(series.labels.get(name, "") for name in keys)
            merged.setdefault(key, [None] * len(answers))[index] = series.value
    renames = organize["renameByName"]
    headings = [renames[key] for key in keys] + [renames[f"Value #{target['refId']}"] for target in panel["targets"]]
    rows = [list(key) + values for key, values in merged.items()]
    sort = headings.index(panel["options"]["sortBy"][0]["displayName"])
    rows.sort(key=lambda row: (row[sort] is None, -row[sort] if row[sort] is not None else 0))
    return headings, rows


def draw_table(canvas, box, panel, answers):
    headings, rows = table_rows(panel, answers)
    if not rows:
        return no_data(canvas, box)
    labels = len(headings) - len(answers)
    overrides = {item["matcher"]["options"]: {p["id"]: p["value"] for p in item["properties"]}
                 for item in panel["fieldConfig"]["overrides"]}
    # A column of labels is half again as wide as one of numbers.
    unit_width = box.w / (1.5 * labels + len(answers))
    edges = [0]
    for index in range(len(headings)):
        edges.append(edges[-1] + unit_width * (1.5 if index < labels else 1))
    pitch = 21
    for row_number, row in enumerate([headings] + rows[:int(box.h // pitch) - 1]):
        y = box.y + row_number * pitch + 14
        for index, cell in enumerate(row):
            width = edges[index + 1] - edges[index] - 10
            right = index >= labels
            x = box.x + (edges[index + 1] - 10 if right else edges[index])
            style = overrides.get(headings[index], {})
            if row_number == 0:
                canvas.text(x, y, cell, 10, PALE, "end" if right else "start", bold=True, limit=width)
            elif not right:
                canvas.text(x, y, cell, 11, INK, limit=width)
            elif cell is not None:
                colour = colour_of(cell, style["thresholds"]) if "thresholds" in style else INK
                canvas.text(x, y, show(cell, style.get("unit"), style.get("decimals")), 11, colour, "end")
        canvas.line(box.x, y + 6, box.x + box.w, y + 6, GRID_LINE)
