"""The columns of prepared tables, as Hugging Face `datasets` reads and writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcdms_data.pair_set import PairRows, SliceColumn
from pcdms_data.types import K, Keypoints

if TYPE_CHECKING:
    import datasets

SLICE = "slice_"
"""Beginning of the column names of slices."""


def image_features(masks: bool) -> datasets.Features:
    """Return the columns of the table `images`, or of `masks`, which has the same rows.

    Key points are (x, y) pixels of the stored picture, `height` x `width`.
    """
    from datasets import Array2D, Features, Image, List, Value

    columns: dict[str, Any] = {"name": Value("string"), "image": Image()}
    if not masks:
        columns |= {
            "group": Value("string"),
            "height": Value("int32"),
            "width": Value("int32"),
            "keypoints": Array2D((K, 2), "float32"),
            "visible": List(Value("bool"), length=K),
        }
    return Features(columns)


def pair_features(slices: Mapping[str, SliceColumn]) -> datasets.Features:
    """Return the columns of the table `pairs`: row numbers in `images`, and the slice labels."""
    from datasets import ClassLabel, Features, Value

    columns: dict[str, Any] = {"source": Value("int32"), "target": Value("int32")}
    for name, column in slices.items():
        columns[f"{SLICE}{name}"] = ClassLabel(names=list(column.labels))
    return Features(columns)


def image_table(
    schema: pa.Schema,
    names: Sequence[str],
    encoded: Sequence[bytes | None],
    groups: Sequence[str] = (),
    poses: Sequence[Keypoints] = (),
) -> pa.Table:
    """Return some rows of `images`, or of `masks` where the schema has no key points."""
    pictures = [
        None if content is None else {"bytes": content, "path": name}
        for content, name in zip(encoded, names, strict=True)
    ]
    columns: list[pa.Array] = [
        pa.array(names, pa.string()),
        pa.array(pictures, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
    ]
    if "keypoints" in schema.names:
        columns += [
            pa.array(groups, pa.string()),
            pa.array([pose.size[0] for pose in poses], pa.int32()),
            pa.array([pose.size[1] for pose in poses], pa.int32()),
            _points(np.stack([pose.xy for pose in poses]), schema.field("keypoints").type),
            pa.FixedSizeListArray.from_arrays(
                pa.array(np.stack([pose.visible for pose in poses]).reshape(-1)), K
            ),
        ]
    cast = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(cast, schema=schema)


def pair_table(schema: pa.Schema, rows: PairRows, slices: Mapping[str, SliceColumn]) -> pa.Table:
    """Return the table of pairs; `schema` is that of `pair_features(slices)`."""
    columns = [pa.array(rows[:, 0], pa.int32()), pa.array(rows[:, 1], pa.int32())]
    columns += [pa.array(column.codes, pa.int64()) for column in slices.values()]
    return pa.Table.from_arrays(columns, schema=schema)


def points(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """Return a column of key points as (N, K, 2), whether or not `datasets` is imported.

    Raises ValueError where the column does not hold (K, 2) numbers in every row.
    """
    found = []
    for chunk in column.chunks:
        lists = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
        flat = numbers(lists.flatten().flatten(), np.dtype(np.float32))
        found.append(flat.reshape(len(chunk), K, 2))
    return np.concatenate(found) if found else np.zeros((0, K, 2), dtype=np.float32)


def flags(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return a column of joint flags as (N, K); raises ValueError on rows of another length."""
    found = []
    for chunk in column.chunks:
        flat = chunk.flatten()
        bits = np.frombuffer(flat.buffers()[1], dtype=np.uint8)
        last = flat.offset + len(flat)
        every = np.unpackbits(bits, bitorder="little")[flat.offset : last]
        found.append(every.astype(np.bool_).reshape(len(chunk), K))
    return np.concatenate(found) if found else np.zeros((0, K), dtype=np.bool_)


def numbers(array: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array of numbers without nulls as it lies in the file, not copied.

    PyArrow's own `to_numpy` imports pandas, which costs more time than reading the whole dataset.
    Raises ValueError on nulls and on numbers of another width.
    """
    if array.null_count or array.type.bit_width != dtype.itemsize * 8:
        raise ValueError(f"a column holds {array.type} with {array.null_count} nulls")
    whole = np.frombuffer(array.buffers()[1], dtype=dtype)
    return whole[array.offset : array.offset + len(array)]


def _points(values: NDArray[np.float32], kind: pa.DataType) -> pa.Array:
    """Return (N, K, 2) as lists of lists under the extension type of `Array2D`."""
    count = len(values)
    pairs = pa.ListArray.from_arrays(
        pa.array(np.arange(0, 2 * K * count + 1, 2, dtype=np.int32)),
        pa.array(values.astype(np.float32).reshape(-1)),
    )
    rows = pa.ListArray.from_arrays(pa.array(np.arange(0, K * count + 1, K, dtype=np.int32)), pairs)
    return pa.ExtensionArray.from_storage(kind, rows.cast(kind.storage_type))
