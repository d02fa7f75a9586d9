"""Numbers as Grafana's units print them, and round steps for an axis."""

import math

_TIMES = ((86400 * 365, "years"), (86400, "days"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
_COUNTS = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
_BYTES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def _digits(value, decimals):
    """Three significant digits, or as many decimals as asked for."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if value == int(value) and abs(value) < 10000:
        return str(int(value))
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(places, 3)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scaled(value, scale, decimals, gap=" "):
    for size, name in scale:
        if abs(value) >= size:
            return _digits(value / size, decimals) + (gap + name if name else "")
    return _digits(value, decimals) + (gap + scale[-1][1] if value == 0 and scale[-1][1] else "")


def show(value, unit, decimals=None):
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if unit == "percentunit":
        return _digits(value * 100, decimals) + " %"
    if unit in ("s", "ms"):
        seconds = value / 1000 if unit == "ms" else value
        return _scaled(seconds, _TIMES, decimals) if seconds else "0 s"
    if unit in ("bytes", "Bps"):
        return _scaled(value, _BYTES, decimals) + ("/s" if unit == "Bps" else "")
    text = _scaled(value, _COUNTS, decimals, gap="") if value else "0"
    return text + ("/s" if unit == "cps" else "")


def ticks(low, high, unit, count=4):
    """Round values from at most `low` to at least `high`, about `count` steps."""
    if high <= low:
        high = low + 1
    # Of bytes and of milliseconds above a second the round numbers are others.
    base = 1
    if unit in ("bytes", "Bps"):
        base = 1024 ** max(0, math.floor(math.log(max(high, 1), 1024)))
    elif unit == "ms" and high >= 60000:
        base = 60000
    elif unit == "s" and high >= 60:
        base = 60
    rough = (high - low) / base / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999) * base
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]
