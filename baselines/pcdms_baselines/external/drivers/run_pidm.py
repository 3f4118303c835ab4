"""PIDM's sampler over a whole list of pairs; run by its interpreter, in a folder that shows it.

The repository samples random poses from stored files only. This gives its network, sampler and
loader the pairs of `test_pairs.txt`, one at a time: its `ddim_steps` blends the conditions of a
batch between the first and the last picture, so that batches of different people come out wrong.
The noise of a pair depends on its name alone. Python 3.6 and later.
"""

import argparse
import hashlib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image


def main() -> None:
    """Write `<source>_2_<target>_vis.png`, 256x256, of every pair."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", required=True)
    options.add_argument("--weights", required=True)
    options.add_argument("--output", type=Path, required=True)
    options.add_argument("--steps", type=int, required=True)
    given = options.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    diffusion = import_module("diffusion")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load(given.weights).to(device).eval()
    betas = diffusion.make_beta_schedule("linear", 1000, 1e-4, 2e-2).to(device)
    settings = SimpleNamespace(
        path=given.data, sub_path="256-256", preprocess_mode="resize_and_crop", scale_param=0
    )
    loader = import_module("data.fashion_data").Dataset
    pairs = loader(settings, is_inference=True, labels_required=True)
    times = range(0, 1000, 1000 // given.steps)
    for number in range(len(pairs)):
        pair = pairs[number]
        source = pair["source_image"][None].to(device)
        pose = pair["target_skeleton"][None].to(device)
        noise = noise_of(pair["path"], source.shape).to(device)
        with torch.no_grad():
            states, _ = diffusion.ddim_steps(noise, times, model, betas, [source, pose])
        save(states[-1][0], given.output / Path(pair["path"]).name)
        print(f"{number + 1} of {len(pairs)}: {pair['path']}")


def load(path: str) -> Any:
    """Return the averaged network. The file also pickles settings, which needs to be allowed."""
    model = import_module("config.diffconfig").get_model_conf().make_model()
    try:
        stored = torch.load(path, map_location="cpu", weights_only=False)
    except TypeError:  # a version that does not know the word and allows it
        stored = torch.load(path, map_location="cpu")
    model.load_state_dict(stored["ema"])
    return model


def noise_of(name: str, shape: Any) -> Any:
    """Return standard normal noise that depends on the name alone."""
    seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def save(picture: Any, path: Path) -> None:
    """Write (3, H, W) in [-1, 1], truncated to whole levels as the repository does."""
    levels = (picture.clamp(-1.0, 1.0) + 1.0) / 2.0 * 255
    Image.fromarray(levels.permute(1, 2, 0).cpu().numpy().astype(np.uint8)).save(str(path))


if __name__ == "__main__":
    main()
