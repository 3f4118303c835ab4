"""Per-pair scores broken down by the slice labels of the dataset: `slices.csv` of a run folder.

A mean over all pairs hides where a method fails: on garments it never saw, on a back it has to
invent, on large changes of pose. Only metrics with a value per pair can be broken down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcdms_bench.intervals import QUANTILES, resample_counts
from pcdms_bench.run_folder import table_text, write_text
from pcdms_data.types import Pair

FILE = "slices.csv"
COLUMNS = ("run", "stage", "protocol", "metric", "slice", "label", "value", "ci_low", "ci_high",
           "n")  # fmt: skip
"""`slice` and `label` as in the dataset's slices; `value` is the mean over the label's `n` pairs;
the interval is empty for fewer than two pairs."""

Values = NDArray[np.float64]


def write_slices(folder: Path, run: str, pairs: Sequence[Pair], resamples: int = 1000) -> bool:
    """Write `folder/slices.csv` from `folder/pairs.csv`; True when the file changed.

    Every stage, protocol and metric stored for `pairs` is broken down. A dataset without slices
    leaves no file; one left from other pairs is then removed.
    """
    from pcdms_reports.paired import read_pair_table

    path = folder / FILE
    labels = slice_labels(pairs)
    if not labels:
        path.unlink(missing_ok=True)
        return False
    order = {pair.pair_id: i for i, pair in enumerate(pairs)}
    table = read_pair_table(folder / "pairs.csv")
    table = table[table["pair"].isin(order)]
    rows: list[tuple[object, ...]] = []
    for (stage, protocol), part in table.groupby(["stage", "protocol"], sort=False):
        names = list(dict.fromkeys(part["metric"]))
        values = np.full((len(pairs), len(names)), np.nan)
        places = {name: i for i, name in enumerate(names)}
        values[part["pair"].map(order), part["metric"].map(places)] = part["value"]
        for name, label, metric, *numbers in slice_means(values, names, labels, resamples):
            rows.append((run, str(stage), str(protocol), metric, name, label, *numbers))
    return write_text(path, table_text(COLUMNS, rows))


def slice_labels(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Return {slice: label of each pair} for the slices that tell pairs apart, in their order.

    A slice with one label for all pairs says nothing and is left out; a pair without the slice has
    the label `unknown`.
    """
    names = dict.fromkeys(name for pair in pairs for name in pair.slices)
    columns = {name: [pair.slices.get(name, "unknown") for pair in pairs] for name in names}
    return {name: column for name, column in columns.items() if len(set(column)) > 1}


def slice_means(
    values: Values, metrics: Sequence[str], labels: dict[str, list[str]], resamples: int
) -> Iterator[tuple[str, str, str, float, float | None, float | None, int]]:
    """Yield (slice, label, metric, mean, low, high, n) of `values` (pairs, metrics).

    NaN and infinite values are left out. The intervals come from the resamples of the whole set of
    pairs, the same for every metric and method, so that slices can be set beside the total.
    """
    counts = resample_counts(len(values), resamples)
    used = np.isfinite(values)
    filled = np.where(used, values, 0.0)
    for name, column in labels.items():
        of_pair = np.array(column)
        for label in sorted(set(column), key=_label_order):
            inside = of_pair == label
            sums = counts[:, inside] @ filled[inside]
            sizes = counts[:, inside] @ used[inside].astype(np.float64)
            for i, metric in enumerate(metrics):
                n = int(used[inside, i].sum())
                if not n:
                    continue
                mean = float(filled[inside, i].sum() / n)
                low, high = _interval(sums[:, i], sizes[:, i]) if n > 1 else (None, None)
                yield name, label, metric, mean, low, high, n


def _interval(sums: Values, sizes: Values) -> tuple[float | None, float | None]:
    """Return the interval of sums / sizes over the resamples that drew the label at all."""
    drawn = sums[sizes > 0] / sizes[sizes > 0]
    if len(drawn) < 2:
        return None, None
    low, high = np.percentile(drawn, QUANTILES)
    return float(low), float(high)


def _label_order(label: str) -> tuple[int, float, str]:
    """Sort `under16`, `16to33`, `over76` and bare numbers by size, `unknown` last."""
    digits = label.removeprefix("under").removeprefix("over").partition("to")[0]
    try:
        number = float(digits)
    except ValueError:
        return (2 if label == "unknown" else 1), 0.0, label
    return 0, number - 0.5 * label.startswith("under") + 0.5 * label.startswith("over"), label
