import copy

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from atrous.data.warp import smooth_before_warp, warp_image
from atrous.errors import InputError
from atrous.inference import Predictor
from atrous.ops import normalise


def slow_probabilities(model, photo, *, scales=(1.0,), flip=False):
    """Softmax at full size, averaged, written from the definition without any of our parts."""
    mean, std = (
        torch.tensor(getattr(model.normalization, name)).view(1, -1, 1, 1)
        for name in ("mean", "std")
    )
    height, width = photo.shape[:2]
    views = []
    model.eval()
    for scale in scales:
        size = (round(height * scale), round(width * scale))
        smooth = photo
        if scale < 0.8:  # as `atrous.data.warp` does before training
            sigma = 0.35 * np.sqrt(height * width / (size[0] * size[1]) - 1)
            smooth = cv2.GaussianBlur(photo, (2 * round(2 * sigma) + 1,) * 2, sigma, borderType=1)
        images = (torch.from_numpy(smooth / 255.0).float().permute(2, 0, 1)[None] - mean) / std
        view = functional.interpolate(images, size, mode="bilinear", align_corners=False)
        for mirrored in (False, True) if flip else (False,):
            with torch.no_grad():
                scores = model.score(view.flip(-1) if mirrored else view).main
            logits = functional.interpolate(
                scores, (height, width), mode="bilinear", align_corners=False
            )
            probabilities = logits.softmax(1)
            views.append(probabilities.flip(-1) if mirrored else probabilities)
    return torch.stack(views).mean(0)[0].numpy()


def test_labels_are_the_argmax_of_the_resized_scores(model, predictor, photo):
    expected = slow_probabilities(model, photo)
    labels = predictor(photo).labels
    assert labels.dtype == np.uint8
    assert labels.shape == photo.shape[:2]
    top_two = np.sort(expected, axis=0)[-2:]
    clear = top_two[1] - top_two[0] > 1e-5
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(labels[clear], expected.argmax(0)[clear])


def test_labels_do_not_depend_on_whether_probabilities_are_kept(predictor, photo):
    with_them = predictor(photo, probabilities=True)
    without = predictor(photo)
    assert (with_them.labels == without.labels).mean() > 0.999  # exact ties aside
    assert without.probabilities is None
    assert without.uncertainty is None


@pytest.mark.parametrize(("scales", "flip"), [((1.0,), True), ((0.5, 1.0, 1.5), False)])
def test_probabilities_are_averaged_over_scales_and_mirror_images(model, photo, scales, flip):
    predictor = Predictor(model, scales=scales, flip=flip, device="cpu")
    result = predictor(photo, probabilities=True)
    expected = slow_probabilities(model, photo, scales=scales, flip=flip)
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-5)
    labels = predictor(photo).labels
    assert (labels == result.labels).mean() > 0.999


@pytest.mark.parametrize(("scales", "flip"), [((1.0,), False), ((0.5, 1.0), True)])
def test_a_model_sees_images_at_its_own_scale_times_those_asked_for(model, photo, scales, flip):
    model.input_scale = 1.5
    predictor = Predictor(model, scales=scales, flip=flip, device="cpu")
    expected = slow_probabilities(model, photo, scales=[1.5 * scale for scale in scales], flip=flip)
    result = predictor(photo, probabilities=True)
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-5)
    labels = predictor(photo).labels  # one scale: the short way resizes logits, not probabilities
    assert labels.shape == photo.shape[:2]
    assert (labels == expected.argmax(0)).mean() > 0.99


@pytest.mark.parametrize("scale", [0.3, 0.5, 0.67, 0.9])
def test_the_network_sees_a_shrunken_image_as_it_did_in_training(model, scale):
    """Aliased here and smoothed there, edges would look other than those it has learnt."""
    stripes = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    seen = []
    model.score = lambda images: seen.append(images) or type(model).score(model, images)
    model.input_scale = scale
    Predictor(model, device="cpu")(stripes)

    size = round(120 * scale), round(160 * scale)
    step = np.array([160 / size[1], 120 / size[0]])
    matrix = np.concatenate([np.diag(step), (step[:, None] - 1) / 2], axis=1)
    trained = warp_image(smooth_before_warp(stripes, matrix), matrix, size, fill=(0, 0, 0))
    expected = normalise(torch.from_numpy(trained).permute(2, 0, 1)[None], model.normalization)
    inside = (slice(None), slice(None), slice(3, -3), slice(3, -3))
    torch.testing.assert_close(seen[0][inside], expected[inside], atol=0.03, rtol=0)


def test_a_symmetric_view_makes_the_flipped_prediction_symmetric(model):
    half = np.random.default_rng(1).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    photo = np.concatenate([half, half[:, ::-1]], axis=1)
    merged = Predictor(model, flip=True, device="cpu")(photo, probabilities=True).probabilities
    np.testing.assert_allclose(merged, merged[..., ::-1], atol=1e-5)


def test_a_call_restores_the_mode_of_every_module_and_changes_no_weight(model, predictor, photo):
    model.train()
    model.norm.eval()  # a frozen batch norm
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    predictor(photo)
    assert model.training
    assert model.stem.training
    assert not model.norm.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_mode_is_restored_when_the_network_fails(model, predictor, photo):
    model.train()
    model.head = nn.Conv2d(7, 5, kernel_size=1)  # wrong width: its forward raises
    with pytest.raises(RuntimeError):
        predictor(photo)
    assert model.training


def test_training_goes_on_after_a_prediction(model, predictor, photo):
    predictor(photo)
    model.train()
    images = torch.rand(2, 3, 16, 16)
    model(images).sum().backward()
    assert model.head.weight.grad is not None


def test_the_precision_is_the_predictors_own_even_inside_an_autocast(predictor, photo):
    outside = predictor(photo, probabilities=True)
    with torch.autocast("cpu", torch.bfloat16):
        inside = predictor(photo, probabilities=True)
    np.testing.assert_array_equal(inside.probabilities, outside.probabilities)


def test_the_memory_layout_of_the_weights_does_not_change_a_bit(model, photo):
    plain = Predictor(model, device="cpu")(photo, probabilities=True)
    twin = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    last = Predictor(twin, device="cpu")(photo, probabilities=True)
    np.testing.assert_array_equal(plain.probabilities, last.probabilities)


def test_bf16_stays_close_to_fp32(model, predictor, photo):
    coarse = Predictor(model, precision="bf16", device="cpu")(photo, probabilities=True)
    assert (
        np.abs(coarse.probabilities - predictor(photo, probabilities=True).probabilities).max()
        < 0.1
    )


def test_a_path_an_array_and_a_pil_image_give_the_same_labels(predictor, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "x.png")
    expected = predictor(photo).labels
    for source in (tmp_path / "x.png", str(tmp_path / "x.png"), Image.fromarray(photo)):
        np.testing.assert_array_equal(predictor(source).labels, expected)


def test_a_crf_gets_the_image_and_decides_the_labels(model, photo):
    def flood(image, probabilities):
        assert image.dtype == np.uint8
        assert image.shape == photo.shape
        assert probabilities.shape == (5, *photo.shape[:2])
        certain = np.zeros_like(probabilities)
        certain[3] = 1
        return certain

    result = Predictor(model, crf=flood, device="cpu")(photo)
    assert (result.labels == 3).all()


def test_uncertainty_is_zero_where_one_class_is_sure_and_one_where_all_are_equal(model, photo):
    def half_and_half(_image, probabilities):
        made = np.full_like(probabilities, 0.2)
        made[:, :10] = 0
        made[1, :10] = 1
        return made

    result = Predictor(model, crf=half_and_half, device="cpu")(photo, probabilities=True)
    np.testing.assert_allclose(result.uncertainty[:10], 0, atol=1e-6)
    np.testing.assert_allclose(result.uncertainty[10:], 1, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
def test_images_of_a_few_pixels_get_a_mask_of_their_size(model, size):
    photo = np.zeros((*size, 3), np.uint8)
    assert Predictor(model, device="cpu")(photo).labels.shape == size
    assert Predictor(model, scales=(0.25, 1.0), device="cpu")(photo).labels.shape == size


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"engine": "egaer"}, "did you mean eager"),
        ({"precision": "fp16"}, "unknown precision 'fp16'"),
        ({"scales": ()}, "scales are"),
        ({"scales": (0.0,)}, "above 0"),
        ({"tile": 16}, "at least 64 pixels a side; 0 takes every image whole"),
        ({"tile": -1}, "at least 64"),
        ({"tile": (256, 0)}, "at least 64"),
        ({"device": "cuda:99"}, "not usable here"),
        ({"device": "abacus"}, "not usable here"),
        ({"device": "gpu"}, "did you mean cuda"),
    ],
)
def test_wrong_settings_are_told_in_one_line(model, settings, words):
    with pytest.raises(InputError, match=words) as caught:
        Predictor(model, **({"device": "cpu"} | settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"tile": 64}, {"scales": (0.5, 1.0)}])
def test_confidence_is_the_probability_of_the_label(model, photo, options):
    predictor = Predictor(model, device="cpu", **options)
    plain, sure = predictor(photo), predictor(photo, confidence=True)
    both = predictor(photo, probabilities=True, confidence=True)
    assert plain.confidence is None
    np.testing.assert_array_equal(sure.labels, plain.labels)
    np.testing.assert_allclose(sure.confidence, both.probabilities.max(0), atol=2e-6)
    np.testing.assert_array_equal(both.confidence, both.probabilities.max(0))


def test_confidence_after_a_crf_is_that_of_the_sharpened_probabilities(model, photo):
    def crf(image, probabilities):
        return probabilities**2 / (probabilities**2).sum(0)

    result = Predictor(model, device="cpu", crf=crf)(photo, probabilities=True, confidence=True)
    np.testing.assert_array_equal(result.confidence, result.probabilities.max(0))
