"""The report of a chaos run as one HTML file: no scripts, nothing fetched from elsewhere, pictures as inline SVG."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from lockstep.trials.chaos.findings import BUCKET_NS, ChaosResult, FaultFinding

_WIDTH: Final = 1160
_PLOT: Final = 180
_LANE: Final = 16
_LEFT: Final = 190
_STYLE: Final = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; color: #1c1f24; background: #fff }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .8em; border-bottom: 1px solid #ddd }
th { text-align: left } td.n { text-align: right; font-variant-numeric: tabular-nums }
.ok { color: #18794e } .bad { color: #c62a2f; font-weight: bold } svg text { font: 11px system-ui, sans-serif }
.big { font-size: 1.3em }
"""


def render_report(result: ChaosResult) -> str:
    """The whole page."""
    title = f"Lockstep chaos, seed {result.seed}"
    word = '<span class="ok">every promise was kept</span>' if result.held else '<span class="bad">BROKEN</span>'
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="big">{word}</p>',
        _summary(result),
        "<h2>Answers in each tenth of a second, and faults</h2>",
        _timeline(result),
        "<h2>Promises</h2>",
        _table(("promise", ""), [(name, _holds(kept)) for name, kept in result.validators.items()]),
        _violations(result),
        "<h2>Faults</h2>",
        _faults(result.faults),
        _not_done(result),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _summary(result: ChaosResult) -> str:
    verdict, gaps = result.verdict, result.gaps_ms()
    rows = [("engines", str(result.replicas)), ("seconds", f"{result.duration_s:.0f}")]
    rows.append(("faults", str(len(result.faults))))
    if verdict is not None:
        for name in ("commands", "acknowledged", "fills", "lost", "duplicated", "reordered", "divergences"):
            rows.append((name, str(getattr(verdict, name))))
    rows.append(("silence around a fault, ms", f"p50 {gaps['p50']}, p99 {gaps['p99']}, longest {gaps['max']}"))
    return _table((), [(escape(name), escape(value)) for name, value in rows])


def _timeline(result: ChaosResult) -> str:
    """Throughput as bars; below it one lane for each kind of fault."""
    buckets = result.per_bucket
    kinds = list(result.counts())
    span_ms = max([len(buckets) * BUCKET_NS // 1_000_000, *(f.at_ms + f.lasted_ms for f in result.faults), 1])
    scale = (_WIDTH - _LEFT) / span_ms
    height = _PLOT + _LANE * (len(kinds) + 2)
    top = max(buckets, default=1) or 1
    step = scale * BUCKET_NS / 1_000_000
    shapes = [
        f'<rect x="{_LEFT + place * step:.1f}" y="{_PLOT * (1 - count / top):.1f}" width="{step:.2f}" '
        f'height="{_PLOT * count / top:.1f}" fill="#5b8def"/>'
        for place, count in enumerate(buckets)
        if count
    ]
    shapes.append(f'<text x="0" y="12">{top} answers</text><text x="0" y="{_PLOT}">0</text>')
    shapes += _silences(result.faults, scale)
    shapes += _lanes(result.faults, kinds, scale)
    shapes += _seconds(span_ms, scale, height)
    return f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" role="img">{"".join(shapes)}</svg>'


def _silences(faults: Sequence[FaultFinding], scale: float) -> Iterable[str]:
    for finding in faults:
        x = _LEFT + finding.at_ms * scale
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_PLOT}" stroke="#c62a2f" stroke-opacity=".35"/>'


def _lanes(faults: Sequence[FaultFinding], kinds: list[str], scale: float) -> Iterable[str]:
    for place, kind in enumerate(kinds):
        y = _PLOT + _LANE * (place + 1)
        yield f'<text x="0" y="{y + 10}">{escape(kind)}</text>'
        yield f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y + 6}" y2="{y + 6}" stroke="#eee"/>'
    for finding in faults:
        y = _PLOT + _LANE * (kinds.index(finding.done.fault.kind.value) + 1)
        x, width = _LEFT + finding.at_ms * scale, max(4.0, finding.lasted_ms * scale)
        text = f"{finding.done.target}: silence {finding.gap_ms} ms, whole again after {finding.healthy_after_ms} ms"
        yield (
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="11" fill="#c62a2f">'
            f"<title>{escape(text)}</title></rect>"
        )


def _seconds(span_ms: int, scale: float, height: int) -> Iterable[str]:
    step_s = next(step for step in (1, 2, 5, 10, 30, 60, 600, 3600, 86_400) if span_ms / 1000 / step <= 30)
    for second in range(0, span_ms // 1000 + 1, step_s):
        yield f'<text x="{_LEFT + second * 1000 * scale:.1f}" y="{height - 2}" text-anchor="middle">{second} s</text>'


def _violations(result: ChaosResult) -> str:
    found = result.verdict.violations if result.verdict is not None else ()
    rows = [(v.promise.value, str(v.count), escape(v.text)) for v in found]
    rows += [("", "", escape(problem)) for problem in result.problems]
    return _table(("promise", "cases", "what"), rows) if rows else ""


def _faults(faults: Sequence[FaultFinding]) -> str:
    names = ("at s", "fault", "process", "lasted ms", "silence ms", "whole before", "whole again after ms")
    rows = [
        (
            f"{finding.at_ms / 1000:.1f}",
            finding.done.fault.kind.value,
            escape(finding.done.target),
            str(finding.lasted_ms),
            f"{finding.gap_ms:.1f}",
            "yes" if finding.healthy_before else "no",
            "-" if finding.healthy_after_ms is None else str(finding.healthy_after_ms),
        )
        for finding in faults
    ]
    return _table(names, rows)


def _not_done(result: ChaosResult) -> str:
    rows = [("not run", kind.value, escape(reason)) for kind, reason in result.not_run.items()]
    rows += [("left out", done.fault.kind.value, escape(done.left_out)) for done in result.left_out]
    return _table(("", "fault", "why"), rows) if rows else ""


def _holds(kept: bool) -> str:
    return '<span class="ok">kept</span>' if kept else '<span class="bad">BROKEN</span>'


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already; numbers stand to the right."""
    head = "<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>" if names else ""
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _cell(text: str) -> str:
    number = text.replace(".", "", 1).isdigit()
    return f'<td class="n">{text}</td>' if number else f"<td>{text}</td>"
