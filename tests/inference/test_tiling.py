import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import atrous
from atrous.data import make_scene
from atrous.errors import InputError
from atrous.inference import Predictor
from atrous.inference.tiling import Tiling, ramp, shared_band, starts, tiled
from atrous.ops import normalise


def windows(length, tile):
    """The spans that `tiled` shows the network."""
    places, band = starts(length, tile), shared_band(tile)
    return [(one, min(two + band, length)) for one, two in itertools.pairwise([*places, length])]


@settings(deadline=None)
@given(length=st.integers(1, 5000), tile=st.integers(64, 1300))
def test_windows_cover_every_pixel_and_share_a_band_with_each_neighbour(length, tile):
    spans, band = windows(length, tile), shared_band(tile)
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(start % 32 == 0 and end - start <= tile for start, end in spans)
    for (_, end), (start, later_end) in itertools.pairwise(spans):
        assert end - start == band < later_end - start
    for (_, end), _, (start, _) in zip(spans, spans[1:], spans[2:], strict=False):
        assert end <= start  # never three at once


@settings(deadline=None)
@given(length=st.integers(1, 5000), tile=st.integers(64, 1300))
def test_the_weights_of_all_windows_sum_to_one(length, tile):
    total = torch.zeros(length)
    for start, end in windows(length, tile):
        weights = ramp(start, end, length, shared_band(tile))
        assert (weights > 0).all()
        total[start:end] += weights
    torch.testing.assert_close(total, torch.ones(length))


def test_windows_are_as_few_as_can_be_and_all_but_equally_long():
    assert starts(1024, 1024) == [0]
    assert windows(1025, 1024) == [(0, 608), (480, 1025)]
    assert [end - start for start, end in windows(5472, 1024)] == [1024] * 5 + [992]


def test_a_pixelwise_function_comes_through_unchanged_and_every_pixel_once():
    image = np.random.default_rng(0).random((301, 410, 2), dtype=np.float32)
    made, seen = np.full_like(image, np.nan), np.zeros(image.shape[:2], int)

    def predict(window):
        return torch.from_numpy(window.copy()).permute(2, 0, 1)

    for top, left, block in tiled(image, (128, 96), predict):
        part = np.s_[top : top + block.shape[1], left : left + block.shape[2]]
        made[part] = block.permute(1, 2, 0)
        seen[part] += 1
    assert (seen == 1).all()
    np.testing.assert_allclose(made, image, atol=1e-6)


def test_blending_equals_the_weighted_mean_of_all_windows():
    """Against a slow accumulator over the whole image: one loop, two full arrays."""
    image = np.zeros((200, 170, 1), np.float32)
    values = np.random.default_rng(0).random(1000)
    seen = itertools.count()

    def predict(window):
        return torch.full((1, *window.shape[:2]), values[next(seen)])

    def height_of_the_roof(start, end, length, band):
        x = np.arange(start, end)
        left = (x - start + 0.5) / band if start > 0 else np.ones(end - start)
        right = (end - x - 0.5) / band if end < length else np.ones(end - start)
        return np.minimum(1, np.minimum(left, right))

    blended = np.zeros((200, 170))
    for top, left, block in tiled(image, (96, 64), predict):
        blended[top : top + block.shape[1], left : left + block.shape[2]] = block[0]
    total, weight = np.zeros((200, 170)), np.zeros((200, 170))
    spans = list(itertools.product(windows(200, 96), windows(170, 64)))
    for value, ((top, bottom), (left, right)) in zip(values, spans, strict=False):
        roof = np.outer(
            height_of_the_roof(top, bottom, 200, 32), height_of_the_roof(left, right, 170, 32)
        )
        total[top:bottom, left:right] += roof * value
        weight[top:bottom, left:right] += roof
    assert next(seen) == len(spans)
    np.testing.assert_allclose(blended, total / weight, atol=1e-5)


def sizes_seen(model):
    """Record the (height, width) of everything that the network is shown."""
    sizes = []
    model.stem.register_forward_pre_hook(lambda _, args: sizes.append(tuple(args[0].shape[-2:])))
    return sizes


def test_the_network_never_sees_more_than_a_tile(model, photo):
    sizes = sizes_seen(model)
    labels = Predictor(model, tile=(64, 96), device="cpu")(photo).labels
    assert labels.shape == photo.shape[:2]
    assert len(sizes) > 4
    assert all(height <= 64 and width <= 96 for height, width in sizes)


def away_from_borders(size, tile, *, margin):
    """Return where no window begins or ends within `margin` pixels, image borders aside."""
    inside = np.ones(size, bool)
    for axis, length in enumerate(size):
        for border in {x for span in windows(length, tile) for x in span} - {0, length}:
            inside[(slice(None),) * axis + (slice(max(0, border - margin), border + margin),)] = (
                False
            )
    return inside


def test_tiles_are_exact_where_the_receptive_field_lies_inside_a_window(model):
    """The network sees 5 x 5 pixels, and resizing two cells of 4: 16 pixels hold all of it."""
    rng = np.random.default_rng(0)
    photo = np.kron(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8), np.ones((32, 32, 1), "u1"))
    whole = Predictor(model, tile=0, device="cpu")(photo, probabilities=True)
    parts = Predictor(model, tile=128, device="cpu")(photo, probabilities=True)
    inside = away_from_borders(photo.shape[:2], 128, margin=16)
    assert inside.mean() > 0.25
    np.testing.assert_allclose(
        parts.probabilities[:, inside], whole.probabilities[:, inside], atol=1e-6
    )
    assert (whole.labels == parts.labels)[inside].mean() > 0.9999  # exact ties aside
    assert (whole.labels == parts.labels).mean() > 0.99


def test_an_image_that_fits_into_a_tile_is_taken_whole(model, photo):
    whole = Predictor(model, tile=0, device="cpu")(photo).labels
    np.testing.assert_array_equal(Predictor(model, tile=256, device="cpu")(photo).labels, whole)


@pytest.mark.parametrize(
    ("tile", "scale", "size", "window"),
    [
        (None, 1.0, (2048, 2048), None),
        (None, 0.5, (2048, 2048), None),
        (None, 1.0, (1024, 4096), None),  # Cityscapes twice as wide: as many pixels
        (None, 1.0, (2048, 2049), (1024, 1024)),
        (None, 1.0, (3648, 5472), (1024, 1024)),
        (None, 2.0, (1024, 1024), None),
        (None, 2.0, (1024, 1025), (512, 512)),
        (None, 1.75, (3648, 5472), (576, 576)),
        (0, 1.0, (3648, 5472), None),
        (512, 1.0, (512, 512), None),
        (512, 1.0, (513, 400), (512, 512)),
        ((256, 512), 1.0, (256, 513), (256, 512)),
    ],
)
def test_the_size_of_the_image_alone_decides_whether_it_is_cut(tile, scale, size, window):
    rule = Tiling.of(tile, scale)
    assert rule.keeps_whole(*size) == (window is None)
    assert window is None or rule.window == window


def test_without_a_tile_large_images_are_cut_and_others_are_not(model):
    sizes = sizes_seen(model)
    predictor = Predictor(model, device="cpu")
    predictor(np.zeros((2048, 2048, 3), np.uint8))
    assert sizes == [(2048, 2048)]
    sizes.clear()
    predictor(np.zeros((2048, 2049, 3), np.uint8))
    assert sizes == [
        (bottom - top, right - left)
        for (top, bottom), (left, right) in itertools.product(
            windows(2048, 1024), windows(2049, 1024)
        )
    ]


def test_the_rule_stands_in_the_protocol_and_in_the_fingerprint(model):
    automatic = Predictor(model, device="cpu")
    assert automatic.protocol()["tile"] == [1024, 1024]
    assert automatic.protocol()["whole_pixels"] == 2048 * 2048
    never = Predictor(model, tile=0, device="cpu")
    assert never.protocol()["tile"] is None
    assert never.fingerprint() != automatic.fingerprint()


@pytest.mark.parametrize(
    ("tile", "size", "advice"),
    [
        (None, (3648, 5472), "an image of 5472x3648 .* in windows of 1024; .* --tile 512$"),
        (None, (1500, 2000), "an image of 2000x1500 .* as a whole; .* --tile 992$"),
        (0, (3648, 5472), "as a whole; cut it into smaller windows with --tile 1024$"),
        (512, (3648, 5472), "in windows of 512; .* --tile 256$"),
        (64, (3648, 5472), "in windows of 64; close other programs, or use a smaller network$"),
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
    ids=["python", "cuda", "cpu"],
)
def test_out_of_memory_names_the_tile_to_try(model, tile, size, advice, error):
    def fail(_module, _arguments):
        raise error

    model.stem.register_forward_pre_hook(fail)
    model.train()
    with pytest.raises(InputError, match=advice) as caught:
        Predictor(model, tile=tile, device="cpu")(np.zeros((*size, 3), np.uint8))
    assert caught.value.__cause__ is error
    assert model.training


def test_probabilities_that_no_tile_makes_small_are_told_with_their_size(model, monkeypatch):
    def full(*_):
        raise MemoryError

    predictor = Predictor(model, device="cpu")
    monkeypatch.setattr(np, "empty", full)
    with pytest.raises(InputError, match=r"of 5 classes at 200x100 take 0\.0 GB.*labels alone"):
        predictor(np.zeros((100, 200, 3), np.uint8), probabilities=True)


def test_a_real_network_gives_the_same_labels_in_windows():
    """U-Net sees 188 pixels: windows differ from the whole only so near to their borders."""
    image, _ = make_scene(np.random.default_rng(1), (448, 640))
    torch.manual_seed(0)
    model = atrous.create_model("unet", base_channels=4, in_channels=3, classes=5).eval()
    spread_classes(model, image)
    whole = Predictor(model, tile=0, device="cpu")(image, probabilities=True)
    parts = Predictor(model, tile=384, device="cpu")(image, probabilities=True)
    assert (np.bincount(whole.labels.ravel(), minlength=5) > 0.02 * whole.labels.size).all()
    inside = away_from_borders(image.shape[:2], 384, margin=96)
    assert inside.mean() > 0.15
    np.testing.assert_allclose(
        parts.probabilities[:, inside], whole.probabilities[:, inside], atol=1e-5
    )
    same = whole.labels == parts.labels
    assert same[inside].mean() > 0.9999  # exact ties aside
    assert same.mean() > 0.99


def spread_classes(model, image):
    """Shift and scale the last layer so that the classes of an untrained network all win."""
    head = [layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        logits = model(
            normalise(torch.from_numpy(image).permute(2, 0, 1)[None], model.normalization)
        )
        mean, spread = logits.mean((0, 2, 3)), logits.std((0, 2, 3))
        head.weight /= spread[:, None, None, None]
        head.bias.sub_(mean).div_(spread)


def test_windows_cost_no_accuracy():
    """Its ASPP pools each window by itself, but it was trained on 256 x 256 pixels too."""
    image, labels = make_scene(np.random.default_rng(1), (448, 640))
    model = atrous.load("street-scenes")
    whole, parts = (
        (Predictor(model, tile=tile, device="cpu")(image).labels == labels).mean()
        for tile in (0, 256)
    )
    assert parts > whole


PROGRAM = """
import resource, sys
import numpy as np
import torch
import atrous
torch.set_num_threads(1)
model = atrous.create_model(
    "deeplab_v3_plus", encoder_name="mobilenet_v2_035", encoder_weights=None, classes=21
)
predictor = atrous.Predictor(model, device="cpu")
predictor(np.zeros((64, 64, 3), np.uint8))  # what the libraries need in any case
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
image = np.random.default_rng(0).integers(0, 256, (3648, 5472, 3), dtype=np.uint8)
labels = predictor(image).labels
assert labels.shape == (3648, 5472)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.mark.slow
def test_twenty_megapixels_take_little_more_memory_than_a_window():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1e9, done.stdout  # 0.70e9 when it was written
