"""The picture grid: one row a pair, one column a stage or method, pictures as data URIs."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from pcdms_reports.folders import RunFolder, read_pair_scores, read_selection
from pcdms_reports.metric_words import words_of
from pcdms_reports.nearest import nearest_targets
from pcdms_reports.records import RecordError
from pcdms_reports.tables import REFINED, is_bound, stage_label

PAIR_METRICS = ("masked_l1", "ssim")
PICTURE_STAGES = ("final", "inpaint", "refine")
MAX_HEIGHT = 256
_PAIR_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class GridScore:
    """One number below a picture; `best` marks the best of its row among the ranked columns."""

    title: str
    text: str
    best: bool = False


@dataclass(frozen=True)
class GridCell:
    """A picture (`uri`, size in pixels) with its alternative text, or why there is none."""

    alt: str
    uri: str = ""
    width: int = 0
    height: int = 0
    missing: str = ""
    caption: str = ""
    scores: tuple[GridScore, ...] = ()


@dataclass(frozen=True)
class GridRow:
    """The pictures of one pair."""

    pair: str
    cells: tuple[GridCell, ...]


@dataclass(frozen=True)
class Grid:
    """The whole grid; `notices` tell what could not be read."""

    columns: tuple[str, ...]
    rows: tuple[GridRow, ...]
    notices: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """Where one column's pictures lie. `bound` columns are left out of the best marks."""

    title: str
    folder: Path
    alt: str
    stage: str = ""
    scores: dict[tuple[str, str, str, str], float] | None = None
    nearest: dict[str, tuple[str, float]] | None = None
    failed: dict[str, str] = field(default_factory=dict)
    bound: bool = False
    chosen: dict[tuple[str, str], int] = field(default_factory=dict)
    """{(pair, stage): sample} where another sample than the first was scored."""


def build_grid(runs: Sequence[RunFolder], protocol: str, max_pairs: int = 16) -> Grid | None:
    """Return the grid of the first `max_pairs` pairs with example pictures, None without any.

    Columns: source, target pose, then for each staged run the target nearest to the prior's
    embedding and its stages, the target, then the methods of a single step. Numbers below the
    pictures are those of `protocol` in `pairs.csv`.
    """
    if not runs:
        return None
    examples = runs[0].examples
    pairs = _shown_pairs(runs, examples, max_pairs)
    if not pairs:
        return None
    notices: list[str] = []
    single = [r for r in runs if _has_stage(r, "final") or r.method.endswith(REFINED)]
    staged = [run for run in runs if run not in single]
    names = [run.method for run in runs]
    sources = [
        _Source("source", examples / "source", "source picture"),
        _Source("target pose", examples / "pose", "target pose"),
    ]
    for run in staged:
        sources += _columns(run, pairs, examples, names, notices)
    sources.append(_Source("target", examples / "target", "target picture"))
    for run in single:
        sources += _columns(run, pairs, examples, names, notices)
    rows = tuple(GridRow(pair, _cells(pair, sources, protocol)) for pair in pairs)
    return Grid(tuple(source.title for source in sources), rows, tuple(notices))


def picture_uri(path: Path) -> tuple[str, int, int]:
    """Return (data URI, width, height) of a picture as PNG, reduced to at most 256 px in height.

    A PNG that is small enough is embedded byte for byte. Raises OSError or ValueError when the file
    is missing or cannot be decoded.
    """
    with Image.open(path) as picture:
        picture.load()
        width, height = picture.size
        if height <= MAX_HEIGHT and picture.format == "PNG":
            data = path.read_bytes()
        else:
            scale = min(1.0, MAX_HEIGHT / height)
            size = max(1, round(width * scale)), max(1, round(height * scale))
            buffer = io.BytesIO()
            picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(buffer, "PNG")
            data, (width, height) = buffer.getvalue(), size
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}", width, height


def _shown_pairs(runs: Sequence[RunFolder], examples: Path, limit: int) -> list[str]:
    """Return the pairs with an example picture, in the order of the first `pairs.csv`."""
    found = {
        path.stem
        for kind in ("target", "source", "pose")
        for path in (examples / kind).glob("*.png")
        if _PAIR_ID.fullmatch(path.stem)
    }
    order: dict[str, None] = {}
    for run in runs:
        try:
            scores = read_pair_scores(run.path / "pairs.csv", found, PAIR_METRICS)
        except (RecordError, OSError):
            continue  # told once more, with its reason, where the column is built
        order.update(dict.fromkeys(key[0] for key in scores))
    return [*order, *sorted(found - set(order))][:limit]


def _columns(
    run: RunFolder,
    pairs: Sequence[str],
    examples: Path,
    names: Sequence[str],
    notices: list[str],
) -> list[_Source]:
    """Return the columns of one run: what it has pictures of."""
    several = names.count(run.method) > 1
    method = f"{run.method} [{run.run}]" if several else run.method
    sources: list[_Source] = []
    scores, nearest, chosen = {}, {}, {}
    try:
        chosen = read_selection(run.path / "selection.csv", pairs)
        scores = read_pair_scores(run.path / "pairs.csv", pairs, PAIR_METRICS)
        nearest = nearest_targets(run.path / "embeddings.safetensors", pairs)
    except (RecordError, OSError, ValueError) as error:
        notices.append(f"{method}: {error}")
    failed = (run.status or {}).get("failed")
    reasons = {str(k): str(v) for k, v in failed.items()} if isinstance(failed, dict) else {}
    if nearest:
        alt = f"target nearest to the prior's embedding, {method},"
        source = _Source(f"{method} · prior", examples / "target", alt, nearest=nearest)
        sources.append(source)
    for stage in (stage for stage in PICTURE_STAGES if _has_stage(run, stage)):
        title = stage_label(run.method, stage, run.run if several else "")
        sources.append(
            _Source(
                title,
                run.path / "samples" / stage,
                f"{title}, generated picture",
                stage=stage,
                scores=scores,
                failed=reasons,
                bound=is_bound(run.method, str((run.spec or {}).get("stages", ""))),
                chosen=chosen,
            )
        )
    return sources


def _has_stage(run: RunFolder, stage: str) -> bool:
    """Return whether a run made pictures of a stage, be they gone: each cell then says so."""
    if (run.path / "samples" / stage).is_dir():
        return True
    return run.scores is not None and bool(
        (run.scores["n"][run.scores["stage"] == stage] > 0).any()
    )


def _cells(pair: str, sources: Sequence[_Source], protocol: str) -> tuple[GridCell, ...]:
    best: dict[str, float] = {}
    for metric in PAIR_METRICS:
        sign = 1 if words_of(metric).direction == "down" else -1
        values = [
            sign * source.scores[pair, source.stage, protocol, metric]
            for source in sources
            if source.scores and not source.bound
            and (pair, source.stage, protocol, metric) in source.scores
        ]  # fmt: skip
        if len(values) > 1:
            best[metric] = sign * min(values)
    return tuple(_cell(pair, source, protocol, best) for source in sources)


def _cell(pair: str, source: _Source, protocol: str, best: dict[str, float]) -> GridCell:
    shown, caption = pair, ""
    if source.nearest is not None:
        if pair not in source.nearest:
            return GridCell(source.alt, missing="no embedding")
        shown, cosine = source.nearest[pair]
        which = "this pair's target" if shown == pair else "another pair's target"
        caption = f"nearest shown: {which}, cosine {cosine:.3f}"
    scores = []
    for metric in PAIR_METRICS:
        value = (source.scores or {}).get((pair, source.stage, protocol, metric))
        if value is not None:
            words = words_of(metric)
            mark = not source.bound and value == best.get(metric)
            scores.append(GridScore(words.title, words.format(value), mark))
    sample = source.chosen.get((pair, source.stage), 0)
    path = source.folder / (f"{shown}.{sample}.png" if sample else f"{shown}.png")
    alt = f"{source.alt} of pair {pair}"
    absent = source.failed.get(pair, "no picture")
    return replace(picture_cell(path, alt, absent), caption=caption, scores=tuple(scores))


def picture_cell(path: Path, alt: str, absent: str = "no picture") -> GridCell:
    """Return the cell of a picture file; one that is not there or not readable says so."""
    try:
        uri, width, height = picture_uri(path)
    except FileNotFoundError:
        return GridCell(alt, missing=absent)
    except _UNREADABLE:
        return GridCell(alt, missing="picture not readable")
    return GridCell(alt, uri, width, height)
