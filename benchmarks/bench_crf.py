"""What does the dense CRF cost: ours, or pydensecrf, which people use?

Regime: 21 labels, 10 iterations, both kernels, symmetric normalisation (the peer's default), on a
photograph at 512x512 and at 500x375, for both parameter sets that are used (xy 80 / rgb 13 and
xy 121 / rgb 5). The unaries are smooth made maps; `network` are such maps in which only 8 of 21
labels have mass, as a network gives them, with and without `prune`. The peer starts from energies
(the logarithm is not counted), we start from probabilities. Build and inference count for both, in
turn, all regimes in every round; compilation does not count and is stated. The labels of both must
agree.

`--scaling` measures time and memory from 0.05 to 8 megapixels, each size in a process of its own,
and --plot FILE draws them.

pydensecrf is no dependency. It is found in the FOLDER of --peer or $PYDENSECRF, built so:

    git clone https://github.com/lucasb-eyer/pydensecrf && cd pydensecrf
    pip install "cython==0.29.37" setuptools && python setup.py build_ext --build-lib FOLDER

Run: python benchmarks/bench_crf.py [--rounds 5] [--threads 2] [--image FILE] [--network MODEL]
    [--only TEXT] [--scaling] [--plot FILE]

The photograph is scikit-learn's `china.jpg` if no other is given; --only measures the regimes whose
names hold TEXT.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numba
import numpy as np
import torch
from sklearn.datasets import load_sample_image

import atrous
from atrous import DenseCRF
from atrous.crf import Appearance, Smoothness
from atrous.crf.lattice import build_lattice
from atrous.crf.threads import Team
from atrous.ops.row_shapes import shape_of, width_of

LABELS = 21
SIZES = {"512x512": (512, 512), "500x375": (375, 500)}
STDS = {"xy 80, rgb 13": (80, 13), "xy 121, rgb 5": (121, 5)}
PRUNE = 1e-3
MEGAPIXELS = (0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8)


def photo(size: tuple[int, int], path: Path | None) -> np.ndarray:
    """Return a photograph as (H, W, 3) uint8, in RGB."""
    image = load_sample_image("china.jpg") if path is None else cv2.imread(str(path))[..., ::-1]
    return np.ascontiguousarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA))


def unary(size: tuple[int, int], active: int = LABELS) -> np.ndarray:
    """Return smooth probabilities (21, H, W); labels beyond `active` have next to no mass."""
    generator = np.random.default_rng(0)
    logits = np.full((LABELS, *size), -12.0, np.float32)
    for label in range(active):
        noise = generator.standard_normal(size).astype(np.float32)
        logits[label] = cv2.GaussianBlur(noise, (0, 0), 8)
        logits[label] *= 4 / logits[label].std()
    odds = np.exp(logits - logits.max(0))
    return odds / odds.sum(0)


def by_peer(peer: ModuleType, crf: DenseCRF, image: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Return the marginals of pydensecrf (K, H, W)."""
    height, width = image.shape[:2]
    model = peer.DenseCRF2D(width, height, len(energy))
    model.setUnaryEnergy(energy)
    appearance, smoothness = crf.appearance, crf.smoothness
    assert appearance is not None
    assert smoothness is not None
    model.addPairwiseGaussian(sxy=smoothness.xy_std, compat=smoothness.weight)
    model.addPairwiseBilateral(
        sxy=appearance.xy_std, srgb=appearance.rgb_std, rgbim=image, compat=appearance.weight
    )
    return np.array(model.inference(crf.iterations)).reshape(-1, height, width)


class Contest:
    """One regime: both sides on the same image and maps, round after round."""

    def __init__(
        self, peer: ModuleType | None, crf: DenseCRF, image: np.ndarray, maps: np.ndarray
    ) -> None:
        energy = np.ascontiguousarray(
            -np.log(maps.clip(1e-5, 1)).reshape(len(maps), -1), np.float32
        )
        self.sides: dict[str, Callable[[], np.ndarray]] = {"ours": lambda: crf(image, maps)}
        if peer is not None:
            self.sides["pydensecrf"] = lambda: by_peer(peer, crf, image, energy)
        self.labels = {name: run().argmax(0) for name, run in self.sides.items()}  # warms up, too
        self.wall: dict[str, list[float]] = {name: [] for name in self.sides}
        self.cpu: dict[str, list[float]] = {name: [] for name in self.sides}

    def take_turns(self) -> None:
        """Let every side run once."""
        for name, run in self.sides.items():
            begin, begin_cpu = time.perf_counter(), time.process_time()
            run()
            self.wall[name].append(1000 * (time.perf_counter() - begin))
            self.cpu[name].append(1000 * (time.process_time() - begin_cpu))

    def figures(self) -> dict[str, object]:
        """Return milliseconds, the ratio and the share of labels that agree."""
        found: dict[str, object] = {
            name: {
                "ms": [round(x, 1) for x in np.quantile(wall, [0.25, 0.5, 0.75])],
                "least_ms": round(min(wall), 1),
                "least_cpu_ms": round(min(self.cpu[name]), 1),
            }
            for name, wall in self.wall.items()
        }
        if "pydensecrf" in self.sides:
            ours, theirs = (np.array(self.wall[name]) for name in ("ours", "pydensecrf"))
            found["ratio"] = round(float(np.median(theirs / ours)), 2)
            found["ratio_of_least"] = round(float(theirs.min() / ours.min()), 2)
            agree = self.labels["ours"] == self.labels["pydensecrf"]
            found["same_labels"] = float(agree.mean())
        return found


def at_scale(megapixels: float, path: Path | None, threads: int) -> dict[str, float]:
    """Return milliseconds and added megabytes of one call at a size; for a process of its own."""
    torch.set_num_threads(threads)
    side = round((megapixels * 1e6) ** 0.5)
    image, maps = photo((side, side), path), unary((side, side))
    crf = DenseCRF(Appearance(10, 80, 13), Smoothness(3, 3), normalization="symmetric")
    crf(image[:160, :160], np.ascontiguousarray(maps[:, :160, :160]))  # loads what it needs
    before = settled_mb()
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        crf(image, maps)
        times.append(1000 * (time.perf_counter() - begin))
    map_mb = maps.nbytes / 2**20
    added = memory_mb("VmHWM") - before
    lattice = lattice_mb(crf, image, len(maps), threads)
    return {
        "ms": min(times),
        "added_mb": added,
        "lattice_mb": lattice,
        "maps_beside_lattice": (added - lattice) / map_mb,
    }


def lattice_mb(crf: DenseCRF, image: np.ndarray, num_labels: int, threads: int) -> float:
    """Return the megabytes of both lattices and of the values at their vertices."""
    assert crf.appearance is not None
    assert crf.smoothness is not None
    near, far = crf.smoothness, crf.appearance
    extra = np.zeros((0, *image.shape[:2]), np.float32)
    stds = [(near.xy_std,) * 2, (*(far.xy_std,) * 2, *(far.rgb_std,) * 3)]
    total = 0
    for each, channels in zip(stds, (0, 3), strict=True):
        seen = np.ascontiguousarray(image[..., :channels])
        with Team(threads) as team:
            lattice = build_lattice(seen, extra, np.array(each, np.float32), team)
        total += sum(part.nbytes for part in lattice if isinstance(part, np.ndarray))
        total += 2 * lattice.num_rows * 4 * width_of(shape_of(num_labels))
    return total / 2**20


def settled_mb() -> float:
    """Give free memory back, forget the most that was used (Linux), return what is in use."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return memory_mb("VmRSS")


def memory_mb(kind: str) -> float:
    """Return a figure of this process: VmRSS in use, VmHWM the most that was (Linux)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(kind)) / 1024


def first_call_seconds() -> dict[str, float]:
    """Return what the first call takes with no compiled code on disk, and with all of it."""
    script = (
        "import time, numpy as np, torch; from atrous import DenseCRF; crf = DenseCRF();"
        "image = np.zeros((64, 64, 3), np.uint8); maps = np.full((21, 64, 64), 1 / 21, np.float32);"
        "begin = time.perf_counter(); crf(image, maps); print(time.perf_counter() - begin)"
    )
    with tempfile.TemporaryDirectory() as folder:
        surroundings = {**os.environ, "NUMBA_CACHE_DIR": folder}
        taken = [
            float(subprocess.check_output([sys.executable, "-c", script], env=surroundings))
            for _ in range(2)
        ]
    return {"compiling": round(taken[0], 2), "from_disk": round(taken[1], 2)}


def load_peer(folder: Path) -> ModuleType | None:
    """Return `pydensecrf.densecrf`, or None with a line that says so."""
    sys.path.insert(0, str(folder))
    try:
        import pydensecrf.densecrf as peer
    except ImportError:
        print(f"pydensecrf is not in {folder}: measuring ours alone (the docstring says how)")
        return None
    finally:
        sys.path.remove(str(folder))
    module: ModuleType = peer
    return module


def main() -> None:
    """Measure, print a table, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--image", type=Path)
    parser.add_argument(
        "--peer", type=Path, default=Path(os.environ.get("PYDENSECRF", "pydensecrf"))
    )
    parser.add_argument("--network")
    parser.add_argument("--only", default="")
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    peer = load_peer(given.peer)
    contests = {
        name: Contest(peer, *case)
        for name, case in regimes(given.image, given.network)
        if given.only in name
    }
    for _ in range(given.rounds):
        for contest in contests.values():  # so that a slow minute of the machine is everybody's
            contest.take_turns()
    figures: dict[str, object] = {}
    for name, contest in contests.items():
        figures[name] = contest.figures()
        print(f"{name:42}  {json.dumps(figures[name])}")
    figures["first_call_seconds"] = first_call_seconds()
    print(f"first call: {figures['first_call_seconds']}")
    if given.scaling or given.plot:
        figures["scaling"] = scaling(given.image, given.threads)
    if given.plot:
        draw(figures["scaling"], given.plot)
    print(json.dumps({**figures, **surroundings(given.threads)}))


def regimes(
    path: Path | None, network: str | None
) -> Iterator[tuple[str, tuple[DenseCRF, np.ndarray, np.ndarray]]]:
    """Yield what is measured: name, CRF, image, probabilities."""
    for size_name, size in SIZES.items():
        image = photo(size, path)
        for stds_name, stds in STDS.items():
            crf = DenseCRF(Appearance(10, *stds), Smoothness(3, 3), normalization="symmetric")
            name = f"{size_name}, {stds_name}"
            yield f"{name}, 21 labels", (crf, image, unary(size))
            yield f"{name}, network", (crf, image, unary(size, 8))
            yield f"{name}, network, pruned", (replace(crf, prune=PRUNE), image, unary(size, 8))
    if network is not None and path is not None:
        seen = atrous.Predictor(atrous.load(network))(path, probabilities=True)
        image, maps = seen.image, seen.probabilities
        size_name = f"{image.shape[1]}x{image.shape[0]}"
        for stds_name, stds in STDS.items():
            crf = DenseCRF(Appearance(10, *stds), Smoothness(3, 3), normalization="symmetric")
            name = f"{size_name}, {stds_name}, real network"
            yield name, (crf, image, maps)
            yield f"{name}, pruned", (replace(crf, prune=PRUNE), image, maps)


def scaling(path: Path | None, threads: int) -> dict[float, dict[str, float]]:
    """Return time and memory at each number of megapixels."""
    spawn = multiprocessing.get_context("spawn")
    rows = {}
    for megapixels in MEGAPIXELS:
        with ProcessPoolExecutor(1, mp_context=spawn) as alone:
            found = alone.submit(at_scale, megapixels, path, threads).result()
        rows[megapixels] = found
        per = found["ms"] / megapixels
        print(
            f"{megapixels:5} megapixels  {found['ms']:8.1f} ms  {per:7.1f} ms a megapixel  "
            f"{found['added_mb']:8.1f} MB: lattices {found['lattice_mb']:.1f} and "
            f"{found['maps_beside_lattice']:.2f} x K x H x W x 4 bytes",
            flush=True,
        )
    return rows


def draw(rows: dict[float, dict[str, float]], path: Path) -> None:
    """Draw time and memory over megapixels."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    sizes = np.array(list(rows))
    for axis, key, told in ((left, "ms", "ms an image"), (right, "added_mb", "MB added")):
        values = np.array([row[key] for row in rows.values()])
        axis.loglog(sizes, values, "o-")
        axis.loglog(sizes, values[-1] * sizes / sizes[-1], "--", color="grey", label="linear")
        axis.set_xlabel("megapixels")
        axis.set_ylabel(told)
        axis.set_xticks(sizes, [f"{size:g}" for size in sizes], minor=False)
        axis.minorticks_off()
        axis.legend()
    figure.savefig(path, dpi=90)


def surroundings(threads: int) -> dict[str, object]:
    """Return what the figures depend on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    return {
        "commit": commit.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_average": os.getloadavg()[0],
        "threads": threads,
        "versions": {
            "numpy": np.__version__,
            "torch": torch.__version__,
            "numba": numba.__version__,
        },
    }


if __name__ == "__main__":
    main()
