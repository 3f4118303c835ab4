"""Driver scripts: each runs a made-up program with the names and calls of its real repository.

The programs below have the modules, functions and arguments that the drivers rely on, and make
pictures of which it can be told which pair, which role and which order they were made for. The
published weights and networks are not part of this.
"""

import ast
import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_pairs import make_gallery, make_pairs

from pcdms_baselines.external.clone import Given
from pcdms_baselines.external.method import LOG, External
from pcdms_baselines.external.recipe import DRIVERS, recipe_of
from pcdms_data.images import load_picture, png_bytes, write_atomically
from pcdms_data.layouts.picture_files import jpeg_bytes
from pcdms_data.types import Picture, make_pair_id

FRAME = (256, 176)
LEVELS = (40, 90, 140, 200)
PEOPLE = [
    f"fashion{who}id0000000{n}01_{view}.jpg"
    for n, who in enumerate(("MENDenim", "WOMENDresses"), start=1)
    for view in ("1front", "2side")
]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two people in two views, each picture of one grey level."""
    folder = tmp_path_factory.mktemp("grey")
    gallery = make_gallery(folder, 4, 2, FRAME)
    pictures = []
    for name, level in zip(PEOPLE, LEVELS, strict=True):
        path = folder / name
        path.write_bytes(jpeg_bytes(np.full((*FRAME, 3), level, np.uint8)))
        pictures.append(Picture(name, path))
    found = make_pairs(replace(gallery, pictures=tuple(pictures)))
    return [replace(p, pair_id=make_pair_id(p.source.name, p.target.name)) for p in found]


def method_for(name, clone, files, weights):
    """The method over a clone with these files; modules that are missing here are empty there."""
    recipe = recipe_of(name)
    case = recipe.case(FRAME)
    texts = {recipe.program: "", **{place: "" for place in case.needs}, **files}
    for module in recipe.packages:
        if importlib.util.find_spec(module) is None:
            texts.setdefault(f"{module}.py", "")
    for place, text in texts.items():
        write_atomically(clone / place, text.encode())
    for place, content in zip(case.weights, weights, strict=True):
        if content is None:
            (clone / place).mkdir(parents=True)
        else:
            write_atomically(clone / place, content)
    method = External(recipe, FRAME, Given(clone, sys.executable, time_limit=300))
    assert method.unavailable() is None
    return method


def made(method, pairs, folder):
    """Mean grey level of each pair's picture, in the order of the pairs."""
    out = folder / "run" / "samples"
    failed = method.generate(pairs, out, seed=0)
    assert failed == {}, (folder / "run" / LOG).read_text()
    paths = [out / "final" / f"{pair.pair_id}.png" for pair in pairs]
    pictures = [load_picture(Picture(path.name, path)) for path in paths]
    assert all(picture.shape == (*FRAME, 3) for picture in pictures)
    return np.array([picture.mean() for picture in pictures])


def grey(pairs, side):
    return np.array([LEVELS[PEOPLE.index(getattr(pair, side).name)] for pair in pairs])


def stored(value, path):
    torch.save(value, path)
    return path.read_bytes()


def test_pidm_samples_every_pair_alone_with_its_own_noise(pairs, tmp_path):
    files = {
        "data/__init__.py": "",
        "data/fashion_data.py": (
            "import io, lmdb, numpy as np, os, torch\n"
            "from PIL import Image\n"
            "class Dataset:\n"
            "    def __init__(self, opt, is_inference, labels_required=False):\n"
            "        assert is_inference and labels_required and opt.scale_param == 0\n"
            "        folder = os.path.join(opt.path, opt.sub_path)\n"
            "        self.env = lmdb.open(folder, readonly=True, lock=False)\n"
            "        lines = open(os.path.join(opt.path, 'test_pairs.txt')).read().split()\n"
            "        self.rows = [line.replace('.jpg', '.png').split(',') for line in lines]\n"
            "    def __len__(self):\n"
            "        return len(self.rows)\n"
            "    def flat(self, path):\n"
            "        who, kind, item, view = path.split('/')[1:]\n"
            "        first, rest = view[:-4].split('_', 1)\n"
            "        return 'fashion' + who + kind + item.replace('_', '') + first + '_'\\\n"
            "            + rest.replace('_', '')\n"
            "    def __getitem__(self, number):\n"
            "        target, source = self.rows[number]\n"
            "        picture = Image.open(io.BytesIO(self.env.begin().get(source.encode())))\n"
            "        assert picture.size == (256, 256)\n"
            "        planes = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 127.5 - 1\n"
            "        pose = torch.zeros(20, 256, 256)\n"
            "        return {'source_image': planes, 'target_skeleton': pose,\n"
            "                'path': self.flat(source) + '_2_' + self.flat(target) + '_vis.png'}\n"
        ),
        "config/__init__.py": "",
        "config/diffconfig.py": (
            "import torch\n"
            "class Conf:\n"
            "    def make_model(self):\n"
            "        return torch.nn.Linear(1, 1, bias=False)\n"
            "def get_model_conf():\n"
            "    return Conf()\n"
        ),
        "diffusion.py": (
            "import torch\n"
            "def make_beta_schedule(kind, steps, linear_start, linear_end):\n"
            "    assert (kind, steps, linear_start, linear_end) == ('linear', 1000, 1e-4, 2e-2)\n"
            "    return torch.linspace(linear_start, linear_end, steps, dtype=torch.float64)\n"
            "def ddim_steps(x, seq, model, b, x_cond, diffusion=None):\n"
            "    assert len(x) == 1 and list(seq) == list(range(0, 1000, 20))\n"
            "    assert not model.training\n"
            "    assert 0.9 < float(x.std()) < 1.1\n"
            "    tint = float(model.weight) * torch.sign(x.flatten()[0]) / 127.5\n"
            "    return [x_cond[0] + tint], []\n"
        ),
    }  # fmt: skip
    weights = stored({"ema": {"weight": torch.tensor([[9.0]])}, "conf": None}, tmp_path / "w.pt")
    method = method_for("pidm-official", tmp_path / "PIDM", files, [weights])
    levels = made(method, pairs, tmp_path)
    tint = levels - grey(pairs, "source")
    assert np.abs(np.abs(tint) - 9).max() < 1.1
    # The noise of a pair is the same when it is asked for alone.
    again = made(method, pairs[2:3], tmp_path / "alone")
    assert again[0] == levels[2]


def test_cfld_saves_what_its_metric_is_given_in_the_order_of_the_list(pairs, tmp_path):
    script = (
        "import csv, os, torch\n"
        "class Node:\n"
        "    pass\n"
        "class Settings:\n"
        "    def __init__(self):\n"
        "        self.INPUT = Node()\n"
        "        self.said = []\n"
        "    def merge_from_file(self, path):\n"
        "        self.said.append(open(path).read())\n"
        "    def merge_from_list(self, words):\n"
        "        self.said.append(words)\n"
        "        self.INPUT.ROOT_DIR = words[words.index('INPUT.ROOT_DIR') + 1]\n"
        "    def freeze(self):\n"
        "        self.said.append('frozen')\n"
        "cfg = Settings()\n"
        "def build_metric():\n"
        "    raise AssertionError('the metric is not to be built')\n"
        "def main(cfg):\n"
        "    assert cfg.said == ['TEST: 256', ['MODEL.PRETRAINED_PATH', 'checkpoints',\n"
        "                        'INPUT.ROOT_DIR', './fashion'], 'frozen'], cfg.said\n"
        "    assert os.environ['WANDB_MODE'] == 'disabled'\n"
        "    assert open('checkpoints/pytorch_model_1.bin', 'rb').read() == b'unet'\n"
        "    os.makedirs('outputs/run', exist_ok=True)\n"
        "    metric = build_metric().to('cpu')\n"
        "    rows = list(csv.DictReader(open('./fashion/fasion-resize-pairs-test.csv')))\n"
        "    for start in range(0, len(rows), 3):\n"
        "        size = len(rows[start:start + 3])\n"
        "        levels = torch.arange(start, start + size).float() * 10 + 3\n"
        "        made = levels[:, None, None, None].expand(size, 3, 256, 176) / 255.\n"
        "        assert len(metric(torch.zeros(size, 3, 256, 176), made)) == 5\n"
        "    raise AssertionError('the metric was to end the program')\n"
    )
    files = {"pose_transfer_test.py": script, "configs/fashion_256.yaml": "TEST: 256"}
    method = method_for("cfld-official", tmp_path / "CFLD", files, [b"model", b"unet"])
    levels = made(method, pairs, tmp_path)
    assert levels.tolist() == [3.0, 13.0, 23.0, 33.0]


@pytest.mark.parametrize(
    ("width", "size"), [(384, "S"), pytest.param(1024, "L", marks=pytest.mark.slow)]
)
def test_x_mdpt_runs_past_its_stop_in_the_size_of_its_weights(width, size, pairs, tmp_path):
    many = list(pairs)
    files = {
        "infer_xmdpt.py": (
            "import os, torch\n"
            "from PIL import Image\n"
            "from masked_diffusion.models import XMDPT_S_2, XMDPT_B_2, XMDPT_L_2\n"
            "from masked_diffusion.my_dataset import load_my_data\n"
            "model_path = 'logs/XMDPT_S_2/ema_0.9999_300000.pt'\n"
            "model = XMDPT_S_2(input_size=32)\n"
            "assert torch.load(model_path)['pos_embed'].shape[-1] == model\n"
            "iter = 0\n"
            "for batch, cond in load_my_data(data_dir='./datasets/deepfashion/', batch_size=8,\n"
            "                                is_inference=True, labels_required=True):\n"
            "    assert len(batch) == 8\n"
            "    sheet = Image.new('RGB', (2066, 1292))\n"
            "    for column, number in enumerate(batch):\n"
            "        box = (2 + 258 * column, 2 + 258 * 4, 258 * column + 258, 258 * 4 + 258)\n"
            "        sheet.paste((number * 5, number * 5, number * 5), box)\n"
            "    img_saving_dir = 'test_img/' + 'XMDPT_S_2'\n"
            "    os.makedirs(img_saving_dir, exist_ok=True)\n"
            "    sheet.save(os.path.join(img_saving_dir, f'gen_img_{iter:03d}.png'))\n"
            "    iter += 1\n"
            "    if iter == 1:  # stops early\n"
            "        break\n"
        ),
        "masked_diffusion/__init__.py": "",
        "masked_diffusion/models.py": (
            "def XMDPT_S_2(input_size):\n    return 384\n"
            "def XMDPT_B_2(input_size):\n    return 768\n"
            "def XMDPT_L_2(input_size):\n    return 1024\n"
        ),
        "masked_diffusion/my_dataset.py": (
            "def load_my_data(*, data_dir, batch_size, is_inference=False, labels_required=True):\n"
            "    lines = open(data_dir + 'test_pairs.txt').read().split()\n"
            "    names = sorted(set(lines))\n"
            "    while True:\n"
            "        for start in range(0, len(lines), batch_size):\n"
            "            yield [start + n for n in range(len(lines[start:start + 8]))], {}\n"
        ),
    }  # fmt: skip
    weights = stored({"pos_embed": torch.zeros(1, 4, width)}, tmp_path / "w.pt")
    method = method_for("x-mdpt-official", tmp_path / "xmdpt", files, [weights])
    if size == "S":  # eleven pairs: the stop after the first sheet must be gone
        gallery = make_gallery(tmp_path / "more", 11, 11, FRAME)
        many = make_pairs(gallery)[:11]
    levels = made(method, many, tmp_path)
    assert levels.tolist() == [5.0 * n for n in range(len(many))]
    assert f"XMDPT_{size}_2" in (tmp_path / "run" / LOG).read_text()


def test_pocold_finds_its_table_pictures_and_part_maps(pairs, tmp_path):
    files = {
        "inference.py": (
            "import os, numpy as np\n"
            "from datasets import load_from_disk\n"
            "from PIL import Image\n"
            "os.makedirs('gens/final', exist_ok=True)\n"
            "for row in load_from_disk('datasets/DeepFashionUnify/')['validation']:\n"
            "    maps = row['to_image'].replace('img_highres', 'img_dp').replace('.jpg', '.png')\n"
            "    part = int(np.array(Image.open(maps)).max())\n"
            "    look = int(np.array(Image.open(row['from_image']))[0, 0, 0])\n"
            "    name = row['org_from_image'].replace('.jpg', '_2_')\\\n"
            "        + row['org_to_image'].replace('.jpg', '_vis.png')\n"
            "    Image.new('RGB', (384, 512), (look + part,) * 3).save('gens/final/' + name)\n"
        ),
        "datasets/of_the_user.txt": "kept",
    }  # fmt: skip
    clone = tmp_path / "PoCoLD"
    for number, name in enumerate(PEOPLE):
        part = np.full(FRAME, number + 1, np.uint8)
        write_atomically(clone / "img_dp" / f"{name[:-4]}.png", png_bytes(part))
    method = method_for("pocold-official", clone, files, [None])
    levels = made(method, pairs, tmp_path)
    parts = np.array([PEOPLE.index(pair.target.name) + 1 for pair in pairs])
    assert np.abs(levels - grey(pairs, "source") - parts).max() < 2
    assert [path.name for path in (clone / "datasets").iterdir()] == ["of_the_user.txt"]


def test_leffa_takes_the_pose_from_the_target_and_fetches_nothing(pairs, tmp_path):
    files = {
        "app.py": (
            "import numpy as np\n"
            "from huggingface_hub import snapshot_download\n"
            "from PIL import Image\n"
            "found = snapshot_download(repo_id='franciszzj/Leffa', local_dir='./ckpts')\n"
            "assert found == './ckpts'\n"
            "class LeffaPredictor:\n"
            "    def leffa_predict_pt(self, src, ref, acceleration, step, scale, seed):\n"
            "        assert (acceleration, step, scale, seed) == (False, 50, 2.5, 42)\n"
            "        pose, look = (np.array(Image.open(path)) for path in (src, ref))\n"
            "        assert pose.shape == look.shape == (1024, 704, 3)\n"
            "        made = np.full((1024, 768, 3), 255, np.uint8)\n"
            "        made[:, 32:736] = look // 2 + pose // 10\n"
            "        return made, None, None\n"
        ),
    }  # fmt: skip
    method = method_for("leffa-official", tmp_path / "Leffa", files, [b"pose"])
    levels = made(method, pairs, tmp_path)
    expected = grey(pairs, "source") // 2 + grey(pairs, "target") // 10
    assert np.abs(levels - expected).max() < 2


def test_drivers_are_written_for_old_interpreters():
    for path in DRIVERS.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 6))
