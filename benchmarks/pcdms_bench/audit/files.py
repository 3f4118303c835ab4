"""What happened to picture files before a script read them: JPEG, truncation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pcdms_bench.audit.choices import Files
from pcdms_bench.picture_content import PictureSource, Source
from pcdms_bench.result_store import content_key
from pcdms_data.images import load_picture, write_atomically
from pcdms_data.types import Picture, PictureError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class JpegSource:
    """A picture as it comes back from a JPEG file of the given quality."""

    source: Source
    quality: int

    def digest(self) -> bytes:
        """Return bytes that change with the content and the quality."""
        return content_key("jpeg", str(self.quality), self.source.digest())

    def pixels(self) -> Pixels:
        """Return uint8 (H, W, 3)."""
        encoded = jpeg_bytes(self.source.pixels(), self.quality)
        decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise PictureError("a picture could not be decoded after saving it as JPEG")
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


@dataclass(frozen=True)
class TruncatedSource:
    """A picture as if its float values had been cut off instead of rounded.

    The floats are gone, but rounding raised those whose fraction was 0.5 or more: about half. Their
    fractions are imitated by how far a pixel lies from its surroundings, plus one random offset per
    channel, so that plain areas are lowered as a whole, as they are by a real cut, and not made
    noisy. 0 stays, and so does 255, which comes from clamping.
    """

    source: Source

    def digest(self) -> bytes:
        """Return bytes that change with the content."""
        return content_key("truncated by surroundings", self.source.digest())

    def pixels(self) -> Pixels:
        """Return uint8 (H, W, 3)."""
        pixels = self.source.pixels()
        seed = int.from_bytes(self.source.digest()[:8], "little")
        offset = np.random.default_rng(seed).random(3)
        values = pixels.astype(np.float64)
        away = cv2.GaussianBlur(values, (0, 0), 1.0) - values
        raised = (away + offset) % 1.0 >= 0.5
        return pixels - (raised & (pixels > 0) & (pixels < 255)).astype(np.uint8)


def generated_source(source: Source, files: Files) -> Source:
    """Return a generated picture after what `files` says."""
    if files in ("jpeg75", "both-jpeg75"):
        return JpegSource(source, 75)
    if files == "jpeg95":
        return JpegSource(source, 95)
    return TruncatedSource(source) if files == "truncated" else source


def target_source(source: Source, files: Files) -> Source:
    """Return a target after what `files` says."""
    return JpegSource(source, 75) if files == "both-jpeg75" else source


def jpeg_bytes(pixels: Pixels, quality: int) -> bytes:
    """Return RGB uint8 (H, W, 3) as a JPEG file."""
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise PictureError("a picture could not be encoded as JPEG")
    return encoded.tobytes()


def jpeg_copies(pictures: Sequence[Picture], folder: Path, quality: int) -> list[Picture]:
    """Write every picture as JPEG into `folder`; pictures that cannot be decoded are left out."""
    copies = []
    for number, picture in enumerate(pictures):
        try:
            content = jpeg_bytes(load_picture(picture), quality)
        except PictureError:
            continue
        path = folder / f"{number:06d}.jpg"
        write_atomically(path, content)
        copies.append(Picture(picture.name, path))
    return copies


def stored(picture: Picture) -> Source:
    """Return a picture as it lies on disk."""
    return PictureSource(picture)
