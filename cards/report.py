"""The report of one evaluation: measurements and figures as one self-contained HTML page.

It renders measurements and computes none: what it adds is order, words, and which of two
intervals lies higher. The page holds its images, style and charts, and may load nothing else.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import jinja2
from markupsafe import Markup
from PIL import Image, UnidentifiedImageError

from curation.errors import SmearkitError
from synth.measure.measurement import ALL_CLASSES, FID_NEEDS, Measurement, Measurements

from .charts import Bar, bar_chart

MAX_REPORT_BYTES = 5_000_000
DEFAULT_TITLE = "Synthetic blood cells, measured against real ones"
NONE = "–"
_NBSP = "\u00a0"
_NO_FACTS: Mapping[str, str] = MappingProxyType({})
_MIME = {"PNG": "image/png", "JPEG": "image/jpeg"}
_QUALIFIERS = ("segmented", "band", "unspecified", "reactive", "large_granular")
_FEW_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture of the report; `image` is a PNG or JPEG file, `name` its stem (no two alike)."""

    name: str
    title: str
    caption: str
    alt: str
    image: bytes


@dataclass(frozen=True, slots=True)
class _Metric:
    """How a metric is spoken of and written."""

    title: str
    short: str
    better: str | None = None
    decimals: int | None = None
    percent: bool = False


_METRICS = {
    "kid": _Metric("Kernel inception distance (KID)", "KID", "lower is closer to real", 4),
    "fid": _Metric("Fréchet inception distance (FID)", "FID", "lower is closer to real", 1),
    "copied_share": _Metric("Copies of training cells", "Copies", "zero is right", 1, True),
    "nearest_train": _Metric(
        "Nearest training cell, from synthetic cells (median correlation)",
        "Synthetic to training",
        "no higher than the baseline",
        3,
    ),
    "nearest_train_held_out": _Metric(
        "Nearest training cell, from held-out real cells (median correlation)",
        "Held-out real to training",
        "the baseline",
        3,
    ),
}
_COPYING = ("copied_share", "nearest_train", "nearest_train_held_out")
_BETTER = {"lower": "lower is better", "higher": "higher is better", "zero": "zero is right"}


@dataclass(frozen=True, slots=True)
class _Row:
    """One measurement as text; `raw` values keep their full precision."""

    name: str
    known: bool
    metric: str
    label: str
    value: str
    raw: str
    interval: str
    floor: str
    floor_interval: str
    n_real: str
    n_synthetic: str
    better: str
    against: str
    reliable: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """One metric, class by class, worst first; a note that every row shares stands above it."""

    key: str
    metric: str
    known: bool
    rows: tuple[_Row, ...]
    notes: tuple[str, ...]
    chart: Markup
    folded: bool


@dataclass(frozen=True, slots=True)
class _Matrix:
    """Several metrics side by side, one line per class; a class may lack a metric."""

    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[_Row | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Picture:
    """A figure as the page shows it."""

    key: str
    title: str
    caption: str
    alt: str
    uri: str
    width: int
    height: int


def readable_label(label: str) -> str:
    """Return a cell label as a reader would write it: 'neutrophil, segmented'."""
    if label == ALL_CLASSES:
        return "all classes"
    for qualifier in _QUALIFIERS:
        stem = label.removesuffix(f"_{qualifier}")
        if stem != label:
            return f"{stem.replace('_', ' ')}, {qualifier.replace('_', ' ')}"
    return label.replace("_", " ")


def format_number(value: float, name: str) -> str:
    """Return a metric's value as it is printed: fixed decimals, a true minus, shares in percent.

    A number that is not zero is not printed as zero where the metric's decimals are its own
    limit and zero is what it should be (a share of copies).
    """
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    metric = _METRICS.get(name, _Metric(name, name))
    shown = value * 100 if metric.percent else value
    if metric.decimals is None:
        text = _three_digits(shown)
    else:
        text = f"{shown:,.{metric.decimals}f}"
        if metric.percent and shown != 0 and float(text.replace(",", "")) == 0:
            text = f"{shown:.1g}" if abs(shown) >= 1e-4 else f"{shown:.0e}"
        elif metric.percent and shown in (0, 100):
            text = f"{shown:.0f}"
    if re.fullmatch(r"-0(\.0*)?", text):
        text = text[1:]
    return text.replace("-", "−") + (f"{_NBSP}%" if metric.percent else "")


def render_report(
    measurements: Measurements,
    figures: Sequence[Figure],
    *,
    title: str = DEFAULT_TITLE,
    facts: Mapping[str, str] = _NO_FACTS,
) -> str:
    """Return the report as one HTML document that loads nothing from anywhere.

    The same arguments give the same document. `facts` stand under the title, in their order.

    Raises: SmearkitError where the document is over 5 MB, where a figure is neither PNG nor JPEG,
    or where two figures share a name.
    """
    every = measurements.measurements
    pooled = sorted((m for m in every if m.label == ALL_CLASSES), key=_summary_order)
    by_class = _group(m for m in every if m.label != ALL_CLASSES)
    document = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            facts=facts,
            headline=_headline(measurements),
            verdict=_verdict(measurements),
            summary=[_row(m) for m in pooled],
            tables=[_table(name, found) for name, found in by_class if name not in _COPYING],
            copying=_copying_sentence(measurements),
            matrix=_matrix([m for m in every if m.label != ALL_CLASSES and m.name in _COPYING]),
            pictures=_pictures(figures),
            skipped=[(readable_label(k), why) for k, why in measurements.skipped.items()],
            method=_method(measurements),
            versions=sorted(measurements.versions.items()),
            fid_needs=f"{FID_NEEDS:,}",
            dash=NONE,
        )
    )
    _check_size(document, figures)
    return document


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("cards", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _three_digits(value: float) -> str:
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        decimals = max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:,.{decimals}f}"
    return f"{value:.2e}"


# --- one measurement in words -----------------------------------------------------------------


def _interval(low: float | None, high: float | None, name: str) -> str:
    if low is not None and high is not None:
        return f"{format_number(low, name)} to {format_number(high, name)}"
    if low is not None:
        return f"at least {format_number(low, name)}"
    return NONE if high is None else f"at most {format_number(high, name)}"


def _against_floor(m: Measurement) -> str | None:
    """Return above, below or overlaps: where the interval lies against the floor's."""
    if m.floor is None or m.low is None or m.high is None:
        return None
    if m.low > (m.floor if m.floor_high is None else m.floor_high):
        return "above"
    if m.high < (m.floor if m.floor_low is None else m.floor_low):
        return "below"
    return "overlaps"


def _fid_lacks_images(m: Measurement) -> bool:
    return m.name == "fid" and min(m.n_real, m.n_synthetic) < FID_NEEDS


def _is_reliable(m: Measurement) -> bool:
    return m.reliable and not _fid_lacks_images(m)


def _notes(m: Measurement) -> tuple[str, ...]:
    notes = []
    if _fid_lacks_images(m):
        notes.append(
            f"Greyed: FID needs at least {FID_NEEDS:,} images on each side. With fewer it grows "
            "with the shortage itself, so it says little here; read KID instead."
        )
    elif not m.reliable and m.note is None:
        notes.append("Greyed: the evaluation marked this number as not reliable.")
    if m.note is not None:
        notes.append(m.note)
    return tuple(notes)


def _row(m: Measurement, hidden_notes: tuple[str, ...] = ()) -> _Row:
    metric = _METRICS.get(m.name)
    return _Row(
        name=m.name,
        known=metric is not None,
        metric=metric.title if metric else m.name,
        label=readable_label(m.label),
        value=format_number(m.value, m.name),
        raw=repr(m.value),
        interval=_interval(m.low, m.high, m.name),
        floor=NONE if m.floor is None else format_number(m.floor, m.name),
        floor_interval=_interval(m.floor_low, m.floor_high, m.name),
        n_real=f"{m.n_real:,}",
        n_synthetic=f"{m.n_synthetic:,}",
        better=(metric and metric.better) or _BETTER[m.direction],
        against=_against_floor(m) or NONE,
        reliable=_is_reliable(m),
        notes=tuple(note for note in _notes(m) if note not in hidden_notes),
    )


# --- order ------------------------------------------------------------------------------------


def _summary_order(m: Measurement) -> tuple[bool, int, str]:
    names = list(_METRICS)
    place = names.index(m.name) if m.name in names else len(names)
    return (not _is_reliable(m), place, m.name)


def _badness(m: Measurement) -> float:
    if math.isnan(m.value):
        return math.inf
    return {"lower": m.value, "higher": -m.value, "zero": abs(m.value)}[m.direction]


def _worst_first(found: Iterable[Measurement]) -> list[Measurement]:
    return sorted(found, key=lambda m: (-_badness(m), m.label))


def _group(found: Iterable[Measurement]) -> list[tuple[str, list[Measurement]]]:
    groups: dict[str, list[Measurement]] = {}
    for m in found:
        groups.setdefault(m.name, []).append(m)
    ordered = sorted(groups.items(), key=lambda item: min(_summary_order(m) for m in item[1]))
    return [(name, _worst_first(group)) for name, group in ordered]


# --- sections ---------------------------------------------------------------------------------


def _table(name: str, found: list[Measurement]) -> _Table:
    metric = _METRICS.get(name)
    each = [_notes(m) for m in found]
    shared = tuple(note for note in each[0] if len(each) > 1 and all(note in n for n in each))
    grey = not any(_is_reliable(m) for m in found)
    return _Table(
        key=_slug(name),
        metric=metric.title if metric else name,
        known=metric is not None,
        rows=tuple(_row(m, shared) for m in found),
        notes=shared,
        chart=Markup("") if grey else _chart(name, found),
        folded=grey,
    )


def _chart(name: str, found: list[Measurement]) -> Markup:
    short = _METRICS[name].short if name in _METRICS else name
    number = _axis_number(name)
    bars = [
        Bar(
            readable_label(m.label), m.value, format_number(m.value, name), m.low, m.high,
            m.floor, m.floor_low, m.floor_high, _is_reliable(m),
        )
        for m in found
    ]  # fmt: skip
    ends = f"from {bars[0].label} ({bars[0].text}) to {bars[-1].label} ({bars[-1].text})"
    return bar_chart(
        bars,
        key=f"chart-{_slug(name)}",
        title=f"{short} of each class, the worst first",
        description=(
            f"Horizontal bars of {len(bars)} classes, {ends}, with 95 % intervals, and the floor "
            "as a tick where there is one. The table below holds the same numbers."
        ),
        number=number,
    )


def _axis_number(name: str) -> Callable[[float], str]:
    unit = f"{_NBSP}%" if name in _METRICS and _METRICS[name].percent else ""
    factor = 100 if unit else 1
    return lambda value: f"{value * factor:.6g}".replace("-", "−") + unit


def _matrix(found: list[Measurement]) -> _Matrix | None:
    if not found:
        return None
    columns = [name for name in _COPYING if any(m.name == name for m in found)]
    cells = {(m.label, m.name): m for m in found}
    # The classes with copies first, then those whose cells lie nearest to training cells.
    labels = sorted({m.label for m in found}, key=lambda label: _copying_rank(cells, label))
    return _Matrix(
        columns=tuple(_METRICS[name].short for name in columns),
        lines=tuple(
            (
                readable_label(label),
                tuple(
                    _row(cells[label, name]) if (label, name) in cells else None for name in columns
                ),
            )
            for label in labels
        ),
    )


def _copying_rank(
    cells: Mapping[tuple[str, str], Measurement], label: str
) -> tuple[float, float, str]:
    copied, nearest = cells.get((label, "copied_share")), cells.get((label, "nearest_train"))
    return (
        -_badness(copied) if copied else math.inf,
        -nearest.value if nearest and math.isfinite(nearest.value) else math.inf,
        label,
    )


def _pictures(figures: Sequence[Figure]) -> list[_Picture]:
    pictures: list[_Picture] = []
    for figure in figures:
        key = f"figure-{_slug(figure.name)}"
        if any(key == other.key for other in pictures):
            raise SmearkitError(f"two figures of the report are called {figure.name!r}")
        try:
            with Image.open(io.BytesIO(figure.image), formats=list(_MIME)) as image:
                mime, (width, height) = _MIME[image.format or ""], image.size
        except (UnidentifiedImageError, KeyError) as error:
            raise SmearkitError(
                f"figure {figure.name!r} of the report is neither a PNG nor a JPEG file"
            ) from error
        uri = f"data:{mime};base64,{base64.b64encode(figure.image).decode()}"
        pictures.append(_Picture(key, figure.title, figure.caption, figure.alt, uri, width, height))
    return pictures


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "unnamed"


def _method(measurements: Measurements) -> list[tuple[str, list[tuple[str, str]], bool]]:
    """Return (what, [(value, which metrics it holds for)], is an identifier)."""
    found = measurements.measurements
    view = measurements.view
    share = f"{view.crop * 100:.3g}".rstrip(".")
    held_out = " and ".join(measurements.held_out) or "none"
    return [
        ("Compared part of each image", [(
            f"the central {share}{_NBSP}% at {view.side} × {view.side} pixels", "")], False),
        ("Held-out splits", [(held_out, "")], False),
        ("Feature extractor", _ways(found, lambda m: m.extractor), True),
        ("What happened to the pixels before it", _ways(found, lambda m: m.pipeline), False),
        ("Reference cells", _ways(found, lambda m: m.reference), True),
        ("Real corpus", [(measurements.real, "")], True),
        ("Synthetic corpus", [(measurements.synthetic, "")], True),
        ("Generator", [(measurements.generator, "")], True),
        ("Corpus that the generator learned from", [(measurements.training_corpus, "")], True),
        ("Time taken", [(_duration(measurements.seconds), "")], False),
        ("Format of the measurements file", [(str(measurements.format_version), "")], False),
    ]  # fmt: skip


def _ways(
    found: Sequence[Measurement], pick: Callable[[Measurement], str]
) -> list[tuple[str, str]]:
    names: dict[str, dict[str, None]] = {}
    for m in found:
        names.setdefault(pick(m), {})[_METRICS[m.name].short if m.name in _METRICS else m.name] = (
            None
        )
    if len(names) <= 1:
        return [(value, "") for value in names] or [(NONE, "")]
    return [(value, ", ".join(which)) for value, which in names.items()]


def _duration(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.3g} s"


# --- the verdict ------------------------------------------------------------------------------


def _pooled(measurements: Measurements, name: str) -> Measurement | None:
    return next(
        (m for m in measurements.measurements if m.name == name and m.label == ALL_CLASSES), None
    )


def _with_interval(m: Measurement) -> str:
    interval = _interval(m.low, m.high, m.name)
    value = format_number(m.value, m.name)
    return value if interval == NONE else f"{value} (95{_NBSP}% interval {interval})"


def _found_copies(measurements: Measurements) -> bool | None:
    shares = [
        m.value
        for m in measurements.measurements
        if m.name == "copied_share" and math.isfinite(m.value)
    ]
    return any(share != 0 for share in shares) if shares else None


def _headline(measurements: Measurements) -> str:
    kid = _pooled(measurements, "kid")
    realism = {
        "above": "The synthetic cells still differ measurably from real ones",
        "overlaps": "The synthetic cells cannot be told from real ones by this measurement",
        "below": "The synthetic cells lie closer to real ones than real sets lie to each other",
        None: "How far the synthetic cells are from real ones was measured without a floor",
    }[_against_floor(kid) if kid else None]
    if kid is None:
        realism = "How far the synthetic cells are from real ones was not measured overall"
    copies = {
        False: "none was found to copy a training cell.",
        True: "some copy training cells.",
        None: "whether they copy training cells was not measured.",
    }[_found_copies(measurements)]
    return f"{realism}; {copies}"


def _verdict(measurements: Measurements) -> str:
    sentences = (
        _realism_sentence(_pooled(measurements, "kid")),
        _class_sentence(measurements),
        _copies_sentence(measurements),
    )
    return " ".join(sentence for sentence in sentences if sentence)


def _realism_sentence(kid: Measurement | None) -> str:
    if kid is None:
        return ""
    text = (
        f"Over all classes, {kid.n_synthetic:,} synthetic cells lie at a KID of "
        f"{_with_interval(kid)} from {kid.n_real:,} held-out real cells"
    )
    if kid.floor is None:
        return f"{text}; no floor was measured to compare that with."
    floor = format_number(kid.floor, "kid")
    return f"{text}, where two sets of real cells of that size lie {floor} apart (the floor)."


def _class_sentence(measurements: Measurements) -> str:
    found = [m for m in measurements.measurements if m.name == "kid" and m.label != ALL_CLASSES]
    ranked = _worst_first([m for m in found if _is_reliable(m)] or found)
    left_out = len(measurements.skipped)
    missing = f", and {_count(left_out, 'class')} could not be measured" if left_out else ""
    if not ranked:
        return f"No class was measured on its own{missing}."
    worst, best = ranked[0], ranked[-1]
    if worst is best:
        value = format_number(worst.value, "kid")
        return f"The one class measured is {readable_label(worst.label)} (KID {value}){missing}."
    far, near = readable_label(worst.label), readable_label(best.label)
    return (
        f"Of {_count(len(ranked), 'class')}, {far} is the furthest from real "
        f"(KID {format_number(worst.value, 'kid')}) and {near} the nearest "
        f"({format_number(best.value, 'kid')}){missing}."
    )


def _copies_sentence(measurements: Measurements) -> str:
    copied = _pooled(measurements, "copied_share")
    holding = _worst_first(
        m
        for m in measurements.measurements
        if m.name == "copied_share" and m.label != ALL_CLASSES and _holds_copies(m)
    )
    where = f", most of all {readable_label(holding[0].label)}" if holding else ""
    if copied is not None and _holds_copies(copied):
        return (
            f"Of {copied.n_synthetic:,} synthetic cells, {_with_interval(copied)} are copies of "
            f"training cells{where}: look at the closest pairs before using them."
        )
    if holding:
        return f"Copies of training cells were found in {_count(len(holding), 'class')}{where}."
    if copied is None or copied.value != 0:
        return ""
    high = format_number(copied.high, copied.name) if copied.high else None
    up_to = f" (95{_NBSP}% interval up to {high})" if high else ""
    return f"Among {copied.n_synthetic:,} synthetic cells no copy was found{up_to}."


def _holds_copies(m: Measurement) -> bool:
    return math.isfinite(m.value) and m.value != 0


def _copying_sentence(measurements: Measurements) -> str:
    synthetic = _pooled(measurements, "nearest_train")
    held_out = _pooled(measurements, "nearest_train_held_out")
    if synthetic is None or held_out is None:
        return ""
    text = (
        f"The nearest training cell of a typical synthetic cell correlates with it by "
        f"{_with_interval(synthetic)}, that of a typical held-out real cell by "
        f"{_with_interval(held_out)}: "
    )
    lowest = synthetic.value if synthetic.low is None else synthetic.low
    highest = held_out.value if held_out.high is None else held_out.high
    if lowest > highest:
        return text + "the synthetic cells lie closer to the training cells than unseen cells do."
    return text + "the synthetic cells lie no closer to the training cells than unseen cells do."


def _count(number: int, noun: str) -> str:
    word = _FEW_WORDS[number] if number < len(_FEW_WORDS) else f"{number:,}"
    return f"{word} {noun if number == 1 else noun + ('es' if noun.endswith('s') else 's')}"


def _check_size(document: str, figures: Sequence[Figure]) -> None:
    size = len(document.encode())
    if size <= MAX_REPORT_BYTES:
        return
    if figures:
        largest = max(figures, key=lambda figure: len(figure.image))
        what = (
            f"its largest figure is {largest.name!r} with {len(largest.image) / 1e6:.1f} MB. "
            "Next: draw it with fewer cells, or as a JPEG"
        )
    else:
        what = "it has no figures, so the text alone is that long"
    raise SmearkitError(
        f"the report would be {size / 1e6:.1f} MB, over its limit of "
        f"{MAX_REPORT_BYTES / 1e6:.1f} MB; {what}"
    )
