import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import atrous
from atrous.data import open_data, write_scenes
from atrous.errors import InputError
from atrous.evaluation import confusion_matrix, evaluate
from atrous.evaluation.loop import common_classes
from atrous.inference import Predictor, tiling
from atrous.labels import LabelSet
from atrous.models.segmentation_model import Scores, SegmentationModel
from atrous.ops import Normalization


class ColourReader(SegmentationModel):
    """Tells the classes of the test images from their colours, after a batch norm."""

    def __init__(self, label_set: LabelSet) -> None:
        super().__init__()
        self.label_set = label_set
        self.normalization = Normalization((0.0,) * 3, (1.0,) * 3)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Conv2d(3, 3, kernel_size=1)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[0, 0, 0], [2, 0, 0], [0, 2, 0]])[..., None, None])
            self.head.bias.copy_(torch.tensor([1.0, 0, 0]))

    def score(self, images: Tensor) -> Scores:
        return Scores(self.head(self.norm(images)))


@pytest.fixture
def predictor(spec):
    return Predictor(ColourReader(spec.label_set), device="cpu")


def test_a_network_that_reads_the_labels_scores_one(predictor, spec):
    result = evaluate(predictor, spec)
    assert result.mean_iou == result.pixel_accuracy == 1
    assert result.num_present == 3


def test_the_matrix_is_that_of_the_shipped_predictor_on_every_pair(predictor, spec):
    with torch.no_grad():
        predictor.model.head.bias += torch.tensor([0.0, 1.5, 0.0])  # now it errs
    result = evaluate(predictor, spec)
    expected = np.zeros((3, 3), int)
    for pair, score in zip(spec.splits["val"], result.per_image, strict=True):
        with Image.open(pair.mask) as mask:
            labels = np.asarray(mask)
        matrix = confusion_matrix(predictor(pair.image).labels, labels, 3)
        np.testing.assert_array_equal(score.hits, np.diag(matrix))
        np.testing.assert_array_equal(score.truth, matrix.sum(1))
        np.testing.assert_array_equal(score.predicted, matrix.sum(0))
        assert score.path == pair.image
        expected += matrix
    np.testing.assert_array_equal(result.matrix, expected)
    assert 0 < result.mean_iou < 1


def test_live_weights_and_their_copy_give_the_same_matrix(predictor, spec):
    torch.manual_seed(0)
    nn.init.normal_(predictor.model.head.weight)
    predictor.model.train()
    live = evaluate(predictor, spec)
    assert predictor.model.training
    again = evaluate(Predictor(copy.deepcopy(predictor.model).eval(), device="cpu"), spec)
    np.testing.assert_array_equal(live.matrix, again.matrix)


def test_training_evaluate_and_the_saved_model_give_one_number(spec, tmp_path):
    """A real network, some steps in: batch norms with statistics, train mode, then the folder."""
    torch.manual_seed(0)
    model = atrous.create_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", encoder_weights=None, classes=3
    )
    live = Predictor(model, device="cpu")
    model.train()
    for _ in range(2):
        model.score(torch.rand(2, 3, 64, 64))
    during = evaluate(live, spec)
    atrous.save(model, tmp_path / "model")
    after = evaluate(Predictor(atrous.load(tmp_path / "model"), device="cpu"), spec)
    np.testing.assert_array_equal(during.matrix, after.matrix)
    images = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    one = live(images, probabilities=True).probabilities
    two = Predictor(atrous.load(tmp_path / "model"), device="cpu")(images, probabilities=True)
    np.testing.assert_array_equal(one, two.probabilities)


def test_one_number_also_where_images_are_cut_without_being_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 64 * 64)
    monkeypatch.setattr(tiling, "TILE", 64)
    write_scenes(tmp_path / "data", {"val": 2}, size=(70, 90), seed=0)
    spec = open_data(tmp_path / "data")
    torch.manual_seed(0)
    model = atrous.create_model(
        "deeplab_v3_plus", encoder_name="mobilenet_v2_035", encoder_weights=None, classes=9
    )
    live = Predictor(model, device="cpu")
    model.train()
    model.score(torch.rand(2, 3, 64, 64))
    sizes = []
    model.encoder.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[-2:]))
    during = evaluate(live, spec)
    assert len(sizes) == 2 * 2 * 2
    assert max(max(size) for size in sizes) == 64
    assert during.protocol["tile"] == [64, 64]
    assert during.protocol["whole_pixels"] == 64 * 64
    atrous.save(model, tmp_path / "model")
    after = evaluate(Predictor(atrous.load(tmp_path / "model"), device="cpu"), spec)
    np.testing.assert_array_equal(during.matrix, after.matrix)


def test_out_of_memory_names_the_image_and_the_tile_to_try(predictor, spec):
    def fail(_module, _arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    predictor.model.norm.register_forward_pre_hook(fail)
    with pytest.raises(InputError, match=r"v0\.png: an image of 56x40 does not fit into memory"):
        evaluate(predictor, spec)


def test_progress_and_protocol_are_told(predictor, spec):
    told = []
    result = evaluate(predictor, spec, progress=lambda *state: told.append(state))
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert result.protocol["split"] == "val"
    assert result.protocol["scales"] == [1.0]
    assert result.protocol["resolution"] == "labels"
    assert result.protocol["data_hash"] == spec.fingerprint
    assert result.protocol["sizes"] == "48x32 to 56x40"
    assert result.protocol["align_corners"] is False
    assert set(result.protocol["versions"]) >= {"atrous", "torch", "numpy"}
    for name in ("flip", "tile", "crf", "engine", "precision", "input_scale"):
        assert name in result.protocol


def test_an_unknown_split_is_told_with_the_known_ones(predictor, spec):
    with pytest.raises(InputError, match="unknown split 'vall'; did you mean val"):
        evaluate(predictor, spec, "vall")


def test_named_classes_must_agree_in_name_and_order():
    city = LabelSet(("road", "car", "sky"))
    assert common_classes(city, city) == city
    with pytest.raises(InputError, match="class 0 is 'road' in the data, but 'sky' in the model"):
        common_classes(city, LabelSet(("sky", "car", "road")))
    with pytest.raises(InputError, match=r"has 2 classes, the data 3; only in the data: car, sky"):
        common_classes(city, LabelSet(("road", "tree")))


def test_classes_without_names_take_those_of_the_other_side():
    city = LabelSet(("road", "car", "sky"))
    assert common_classes(LabelSet.numbered(3), city) == city
    assert common_classes(LabelSet.numbered(2), city) == city  # the data hold no sky
    assert common_classes(city, LabelSet.numbered(3)) == city
    with pytest.raises(InputError, match="the model has 3 classes, the data 4"):
        common_classes(LabelSet.numbered(4), city)
    with pytest.raises(InputError, match="the model has 4 classes, the data 3"):
        common_classes(city, LabelSet.numbered(4))


def test_masks_of_0_and_255_are_no_labels_of_more_classes(one_pair):
    spec = one_pair([0, 255])
    model = Predictor(ColourReader(LabelSet(("road", "car", "sky"))), device="cpu")

    with pytest.raises(InputError, match=r"masks of 0 and 255, .* model has 3; .*label_map: \{255"):
        evaluate(model, spec)


def test_fewer_numbers_than_the_model_has_classes_are_warned_of(one_pair, caplog):
    spec = one_pair([0, 1])
    model = Predictor(ColourReader(LabelSet(("road", "car", "sky"))), device="cpu")

    assert evaluate(model, spec).num_present == 2
    assert "taken for the first 2 of the model's 3 classes (road, car)" in caplog.text


def test_details_change_no_count_and_add_calibration(predictor, spec):
    torch.manual_seed(0)
    nn.init.normal_(predictor.model.head.weight)
    plain, full = evaluate(predictor, spec), evaluate(predictor, spec, details=True)
    np.testing.assert_array_equal(plain.matrix, full.matrix)
    assert plain.curves == {}
    assert plain.reliability == []
    sure, right = [], []
    for pair in spec.splits["val"]:
        labels = spec.read_labels(pair)
        found = predictor(pair.image, probabilities=True)
        sure.append(found.probabilities.max(0)[labels != 255])
        right.append((found.labels == labels)[labels != 255])
    sure, right = np.concatenate(sure), np.concatenate(right)
    error = 0.0
    for index in range(15):
        inside = (sure > index / 15) & (sure <= (index + 1) / 15)
        error += abs((right[inside] - sure[inside]).sum()) / len(sure)
    assert full.figures["expected_calibration_error"].value == pytest.approx(error, abs=1e-5)
    assert sum(row["share"] for row in full.reliability) == pytest.approx(1)


def test_an_excluded_class_leaves_every_mean(predictor, spec):
    result = evaluate(predictor, spec, details=True, excluded=("class_0",))
    assert result.num_present == 2
    assert result.figures["mean_iou"].value == result.mean_iou
    with pytest.raises(InputError, match="unknown class 'sky'"):
        evaluate(predictor, spec, excluded=("sky",))


def test_a_split_of_one_image_has_figures_without_intervals(predictor, one_pair):
    result = evaluate(predictor, one_pair([0, 1, 2, 2]), details=True)
    for figure in result.figures.values():
        assert not np.isnan(figure.value)
        assert np.isnan([figure.low, figure.high]).all()
    assert result.to_json()["figures"]["mean_iou"]["interval_95"] == [None, None]


def test_networks_of_other_libraries_are_scored_through_the_adapter(spec):
    """segmentation_models_pytorch's Unet: the matrix is that of its own logits, by hand."""
    smp = pytest.importorskip("segmentation_models_pytorch")
    from atrous.inference import adapt

    torch.manual_seed(0)
    network = smp.Unet("resnet18", encoder_weights=None, classes=3).eval()
    normalization = Normalization((0.5,) * 3, (0.25,) * 3)
    model = adapt(network, spec.label_set, normalization, size_divisor=32)
    result = evaluate(Predictor(model, device="cpu"), spec, details=True)
    expected = np.zeros((3, 3), int)
    for pair in spec.splits["val"]:
        pixels, labels = spec.read_image(pair), spec.read_labels(pair)
        height, width = labels.shape
        images = (torch.from_numpy(pixels / 255.0).float().permute(2, 0, 1)[None] - 0.5) / 0.25
        images = nn.functional.pad(images, (0, -width % 32, 0, -height % 32), mode="replicate")
        with torch.no_grad():
            predictions = network(images)[0, :, :height, :width].argmax(0).numpy()
        expected += confusion_matrix(predictions, labels, 3)
    assert abs(result.matrix - expected).sum() <= 2 * 0.001 * expected.sum()  # ties aside
    assert result.matrix.sum() == expected.sum()
    assert result.figures["expected_calibration_error"].value > 0
