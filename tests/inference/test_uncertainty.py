"""Entropy, mutual information and variance of a prediction: definition, properties, memory."""

import math
import weakref

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from atrous.errors import InputError
from atrous.inference import Predictor, Uncertainty, monte_carlo
from atrous.inference.merging import merge, merge_with_doubt, passes
from atrous.labels import LabelSet
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import Normalization


class Dropping(SegmentationModel):
    """Scores at a quarter of the size, with dropout and batch norm on the way."""

    def __init__(self, classes: int = 5, p: float = 0.5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.label_set = LabelSet.numbered(classes)
        self.normalization = Normalization.for_channels(3)
        self.stem = nn.Conv2d(3, 8, kernel_size=5, stride=4, padding=2)
        self.norm = nn.BatchNorm2d(8)
        self.dropout = nn.Dropout(p)
        self.head = nn.Conv2d(8, classes, kernel_size=1)
        self.head.weight.data *= 4  # sure here, unsure there
        self.norm.running_mean.normal_()

    def score(self, images: Tensor) -> Scores:
        return Scores(self.head(self.dropout(self.norm(self.stem(images)).relu())))


@pytest.fixture
def dropping() -> Dropping:
    return Dropping()


def slow_doubts(passes: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Mean, entropy, mutual information and variance in float64, pixel by pixel, as defined."""
    samples = np.stack(passes).astype(np.float64)  # (T, K, H, W)
    _, classes, height, width = samples.shape
    total, mutual, variance = np.zeros((3, height, width))
    for y in range(height):
        for x in range(width):
            spectrum = samples[:, :, y, x]
            means = [sum(p[k] for p in spectrum) / len(spectrum) for k in range(classes)]
            of_mean = -sum(p * math.log(p) for p in means if p > 0)
            each = [-sum(p * math.log(p) for p in one if p > 0) for one in spectrum]
            total[y, x] = of_mean / math.log(classes)
            mutual[y, x] = (of_mean - sum(each) / len(each)) / math.log(classes)
            variance[y, x] = sum(np.var(spectrum[:, k]) for k in range(classes)) / classes
    return samples.mean(0), total, mutual, variance


def normalised(model, photo) -> Tensor:
    mean, std = (
        torch.tensor(getattr(model.normalization, name)).view(1, -1, 1, 1)
        for name in ("mean", "std")
    )
    return (torch.from_numpy(photo / 255.0).float().permute(2, 0, 1)[None] - mean) / std


def logits_of(model, photo, *, scale: float = 1.0, mirrored: bool = False) -> np.ndarray:
    """One pass of an image, written from the definition without any of our parts."""
    images = normalised(model, photo)
    size = [round(side * scale) for side in photo.shape[:2]]
    view = functional.interpolate(images, size, mode="bilinear", align_corners=False)
    with torch.no_grad():
        scores = model.score(view.flip(-1) if mirrored else view).main
    logits = functional.interpolate(scores, photo.shape[:2], mode="bilinear", align_corners=False)
    return (logits.flip(-1) if mirrored else logits)[0].numpy()


def softmax_of(model, photo, **view) -> np.ndarray:
    return softmax(logits_of(model, photo, **view), 0)


def check(result, passes: list[np.ndarray]) -> None:
    mean, total, mutual, variance = slow_doubts(passes)
    np.testing.assert_allclose(result.probabilities, mean, atol=1e-5)
    np.testing.assert_allclose(result.uncertainty, total, atol=1e-5)
    np.testing.assert_allclose(result.mutual_information, mutual, atol=1e-5)
    np.testing.assert_allclose(result.variance, variance, atol=1e-6)


def test_flip_compares_the_image_with_its_mirror_image(dropping, photo):
    photo = photo[:30, :45]
    result = Predictor(dropping, uncertainty="flip", device="cpu")(photo, probabilities=True)
    dropping.eval()
    check(result, [softmax_of(dropping, photo, mirrored=side) for side in (False, True)])
    assert result.mutual_information.max() > 1e-3
    assert result.variance.max() > 1e-3


def blurred(photo: np.ndarray, scale: float) -> np.ndarray:
    """Smooth by 0.35 sqrt(1 / scale ** 2 - 1) pixels as training does; not worth it below 0.25."""
    sigma = 0.35 * math.sqrt(max(0, 1 / scale**2 - 1))
    if sigma < 0.25:
        return photo
    return ndimage.gaussian_filter(photo, (sigma, sigma, 0), mode="nearest", radius=(1, 1, 0))


@pytest.mark.parametrize(
    ("asked", "expected"), [((1.0,), (0.75, 1.0, 1.25)), ((0.9, 1.5), (0.9, 1.5))]
)
def test_scales_compares_sizes_its_own_or_those_asked_for(dropping, photo, asked, expected):
    grey = photo[:28, :44].astype(np.float32)
    predictor = Predictor(dropping, uncertainty="scales", scales=asked, device="cpu")
    result = predictor(grey / 255, probabilities=True)  # of uint8 a blur would be rounded
    dropping.eval()
    check(result, [softmax_of(dropping, blurred(grey, each), scale=each) for each in expected])


def test_mc_dropout_draws_networks_and_freezes_the_batch_norm(dropping, photo):
    photo = photo[:30, :45]
    predictor = Predictor(dropping, uncertainty=Uncertainty("mc_dropout", 7, seed=3), device="cpu")
    statistics = dropping.norm.running_mean.clone(), dropping.norm.running_var.clone()
    result = predictor(photo, probabilities=True)
    assert torch.equal(dropping.norm.running_mean, statistics[0])
    assert torch.equal(dropping.norm.running_var, statistics[1])
    dropping.eval()
    dropping.dropout.train()
    # The seed that is drawn from the caller's generator, as in `monte_carlo`.
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(3)))
    torch.manual_seed(seed)
    check(result, [softmax_of(dropping, photo) for _ in range(7)])
    assert result.mutual_information.max() > 0.01
    assert result.variance.max() > 0.01


def test_one_pass_has_its_entropy_and_no_mutual_information(dropping, photo):
    result = Predictor(dropping, uncertainty="entropy", device="cpu")(photo)
    plain = Predictor(dropping, device="cpu")(photo, probabilities=True)
    np.testing.assert_allclose(result.uncertainty, plain.uncertainty, atol=1e-6)
    assert not result.mutual_information.any()
    assert not result.variance.any()
    assert result.probabilities is None
    assert (result.labels == plain.labels).all()


@pytest.mark.parametrize("method", ["entropy", "mc_dropout", "flip", "scales"])
@pytest.mark.parametrize("settings", [{}, {"tile": 64}, {"flip": True, "scales": (0.5, 1.0)}])
def test_mutual_information_lies_between_0_and_the_entropy_and_that_below_1(
    dropping, photo, method, settings
):
    chosen = Uncertainty(method, samples=3)
    predictor = Predictor(dropping, uncertainty=chosen, device="cpu", **settings)
    result, with_maps = predictor(photo), predictor(photo, probabilities=True)
    assert result.uncertainty.shape == result.mutual_information.shape == photo.shape[:2]
    assert result.uncertainty.dtype == result.mutual_information.dtype == np.float32
    assert result.mutual_information.min() >= 0
    assert (result.mutual_information <= result.uncertainty + 1e-6).all()
    assert result.uncertainty.max() <= 1
    assert result.variance.min() >= 0
    assert result.variance.max() < 0.25
    np.testing.assert_array_equal(result.uncertainty, with_maps.uncertainty)
    np.testing.assert_array_equal(result.mutual_information, with_maps.mutual_information)
    np.testing.assert_array_equal(result.variance, with_maps.variance)
    np.testing.assert_array_equal(result.labels, with_maps.probabilities.argmax(0))


def test_passes_that_agree_have_no_mutual_information_and_those_that_contradict_have_all():
    sure = torch.eye(4)[:2, :, None, None].expand(2, 4, 3, 5).log()
    vague = torch.randn(4, 3, 5)
    agreed = merge_with_doubt(vague.clone() for _ in range(9))
    torch.testing.assert_close(agreed[4], torch.special.entr(vague.softmax(0)).sum(0) / math.log(4))
    assert agreed[5:].max() < 1e-6
    torn = merge_with_doubt(iter(sure))
    torch.testing.assert_close(torn[4:6], torch.full((2, 3, 5), math.log(2) / math.log(4)))
    torch.testing.assert_close(torn[6], torch.full((3, 5), (0.25 + 0.25 + 0 + 0) / 4))
    equal = merge_with_doubt([torch.zeros(4, 3, 5)])
    torch.testing.assert_close(equal[4], torch.ones(3, 5))


def test_one_class_alone_is_never_doubtful():
    assert not merge_with_doubt([torch.ones(1, 2, 3), torch.ones(1, 2, 3)])[1:].any()


def test_a_small_variance_is_not_lost_in_the_difference_of_two_sums():
    logits = torch.randn(2, 150, 40, 50).double()
    logits[1] = logits[0] + 1e-2 * torch.randn(150, 40, 50)
    expected = logits.softmax(1).var(0, correction=0).mean(0)
    found = merge_with_doubt(logits.float().clone())[-1]
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-8)
    assert expected.mean() > 1e-9


def test_the_variance_is_the_mean_over_the_classes_of_that_of_bayesian_segnet(dropping, photo):
    photo = photo[:30, :45]
    predictor = Predictor(dropping, uncertainty=Uncertainty("mc_dropout", 7, seed=3), device="cpu")
    images = normalised(dropping, photo)
    _, variance = monte_carlo(dropping, images, 7, generator=torch.Generator().manual_seed(3))
    np.testing.assert_allclose(predictor(photo).variance, variance[0].mean(0), atol=1e-6)


class Held(TorchDispatchMode):
    """The most bytes that tensors hold at once, those of every operation counted."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[weakref.ref[Tensor]] = []
        self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        outputs = made if isinstance(made, list | tuple) else [made]
        self.tensors += [weakref.ref(each) for each in outputs if isinstance(each, Tensor)]
        alive = [each for each in (one() for one in self.tensors) if each is not None]
        self.tensors = [weakref.ref(each) for each in alive]
        storages = {each.untyped_storage().data_ptr(): each.untyped_storage() for each in alive}
        self.most = max(self.most, sum(storage.nbytes() for storage in storages.values()))
        return made


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("merged", "maps"),
    [(merge, 2), (merge_with_doubt, 2), (lambda logits: merge_with_doubt(logits, 2.0), 3)],
)
def test_two_maps_are_held_however_many_passes_there_are(merged, maps, layout):
    """At most a fifth of a map beside them: what some rows take, and the planes."""
    classes, size = 40, (640, 64)

    def score(view: Tensor) -> Tensor:
        return torch.randn(1, classes, 20, 2).to(memory_format=layout)

    held = Held()
    with held, torch.no_grad():
        merged(
            passes(
                score,
                lambda scale: torch.zeros(1, 3, 8, 8),
                size,
                scales=(0.5, 1.0),
                flip=True,
                align_corners=False,
                samples=2,
            )
        )
    whole = 4 * classes * size[0] * size[1]
    assert maps <= held.most / whole + 0.2
    assert held.most / whole < maps + 0.4


def test_in_windows_inside_a_window_the_maps_are_those_of_the_window(dropping, photo):
    tall = np.concatenate([photo, photo[::-1]])  # 300 rows
    predictor = Predictor(dropping, uncertainty="flip", tile=128, device="cpu")
    tiled, whole = predictor(tall), predictor(tall[:128, :128])
    inside = slice(0, 90), slice(0, 90)  # before the band with the next window
    np.testing.assert_allclose(tiled.uncertainty[inside], whole.uncertainty[inside], atol=1e-6)
    np.testing.assert_allclose(
        tiled.mutual_information[inside], whole.mutual_information[inside], atol=1e-6
    )


def test_the_same_seed_gives_the_same_bits_whatever_came_before(dropping, photo):
    predictor = Predictor(dropping, uncertainty=Uncertainty("mc_dropout", 3), device="cpu")
    first = predictor(photo)
    torch.rand(7)
    predictor(photo[:20])
    again = predictor(photo)
    other = Predictor(dropping, uncertainty=Uncertainty("mc_dropout", 3, seed=1), device="cpu")
    np.testing.assert_array_equal(first.mutual_information, again.mutual_information)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.array_equal(first.mutual_information, other(photo).mutual_information)


def test_torchs_own_generator_and_the_modes_stay_also_after_an_error(dropping, photo):
    predictor = Predictor(dropping, uncertainty="mc_dropout", device="cpu")
    dropping.train()
    dropping.norm.eval()  # a frozen part
    modes = [module.training for module in dropping.modules()]
    before = torch.get_rng_state()
    predictor(photo[:20])
    assert [module.training for module in dropping.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)
    dropping.head = nn.Conv2d(7, 5, 1)  # wrong width: its forward raises
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        predictor(photo)
    assert [module.training for module in dropping.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("temperature", [1.0, 3.0, 0.5])
@pytest.mark.parametrize("settings", [{}, {"tile": 64}])
def test_a_crf_decides_the_labels_but_not_the_doubt(
    dropping, photo, settings, temperature, monkeypatch
):
    seen = []

    def flood(image, probabilities):
        seen.append(probabilities.copy())
        certain = np.zeros_like(probabilities)
        certain[3] = 1
        return certain

    def predictor(**more):
        return Predictor(dropping, uncertainty="flip", device="cpu", **settings, **more)

    if settings:
        monkeypatch.setattr("atrous.inference.predictor.WHOLE_PIXELS", 0)  # it works in windows
    plain = predictor(crf=flood)(photo)
    untempered = list(seen)
    seen.clear()
    dropping.calibration = {"temperature": temperature}
    warm, sharp = predictor()(photo), predictor(crf=flood)(photo)
    assert (sharp.labels == 3).all()
    for name in ("uncertainty", "mutual_information", "variance"):
        np.testing.assert_allclose(getattr(sharp, name), getattr(warm, name), atol=1e-6)
        assert np.array_equal(getattr(plain, name), getattr(warm, name)) == (temperature == 1)
    for with_one, without in zip(seen, untempered, strict=True):  # as its search saw them
        np.testing.assert_allclose(with_one, without, atol=1e-6)


def test_the_stamp_of_a_crf_holds_the_temperature_where_maps_have_it(dropping):
    dropping.calibration = {"temperature": 3.0}

    def stamp(**settings):
        return Predictor(dropping, crf=lambda *_: None, device="cpu", **settings).protocol()

    assert stamp()["temperature"] is None
    assert stamp(uncertainty="flip")["temperature"] == 3.0


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
def test_images_of_a_few_pixels_have_maps_of_their_size(dropping, size):
    photo = np.zeros((*size, 3), np.uint8)
    for method in ("mc_dropout", "flip", "scales"):
        result = Predictor(dropping, uncertainty=method, device="cpu")(photo)
        assert result.uncertainty.shape == size


def test_twelve_bits_in_sixteen_are_as_doubtful_as_the_same_picture_in_eight(dropping, photo):
    """White is the model's: a picture of another depth, normalised alike, gives the same maps."""
    eight = Predictor(dropping, uncertainty="flip", device="cpu")(photo)
    dropping.normalization = dropping.normalization.with_white_at(255 * 16 / 65535)
    sixteen = Predictor(dropping, uncertainty="flip", device="cpu")(photo.astype(np.uint16) * 16)
    np.testing.assert_allclose(sixteen.uncertainty, eight.uncertainty, atol=1e-4)


def test_a_network_without_dropout_is_told_what_else_there_is(model):
    told = "StrideFour has no dropout.*entropy, flip or scales.*dropout=central"
    with pytest.raises(InputError, match=told):
        Predictor(model, uncertainty="mc_dropout", device="cpu")
    with pytest.raises(InputError, match="Dropping has no dropout"):
        Predictor(Dropping(p=0.0), uncertainty="mc_dropout", device="cpu")


def test_wrong_settings_are_told(model):
    with pytest.raises(InputError, match="unknown uncertainty 'dropout'"):
        Predictor(model, uncertainty="dropout", device="cpu")
    with pytest.raises(InputError, match="samples is 1; give 2 or more"):
        Uncertainty("mc_dropout", samples=1)


def test_the_stamp_names_what_decides_the_maps(dropping):
    def stamp(**settings):
        return Predictor(dropping, device="cpu", **settings).protocol()["uncertainty"]

    assert stamp() is None
    assert stamp(uncertainty="flip") == {"method": "flip"}
    assert stamp(uncertainty=Uncertainty("mc_dropout", 5, seed=2)) == {
        "method": "mc_dropout",
        "samples": 5,
        "seed": 2,
    }


@pytest.mark.gpu
def test_on_a_gpu_it_is_repeatable_too(dropping, photo):
    predictor = Predictor(dropping, uncertainty="mc_dropout", device="cuda")
    one, two = predictor(photo), predictor(photo)
    np.testing.assert_array_equal(one.mutual_information, two.mutual_information)
    assert one.mutual_information.max() > 0.01
