from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from atrous.cli.habits import UsageError
from atrous.cli.parsing import parse, resolved_yaml
from atrous.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that a field can be."""

    model: str = field(metadata={"positional": True})
    """A name."""
    inputs: tuple[str, ...] = field(default=(), metadata={"positional": True})
    """Files."""
    out: Path | None = None
    """A folder."""
    batch_size: int = 16
    """A count."""
    lr: float | None = None
    """A rate."""
    crop: int | tuple[int, int] | None = None
    """A side, or height and width."""
    scales: tuple[float, ...] = (1.0,)
    """Factors."""
    scale_range: tuple[float, float] = (0.5, 2.0)
    """Two factors."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """A choice."""
    options: dict[str, str | int | float | bool] = field(default_factory=dict)
    """Pairs."""
    overlay: bool = False
    """A switch."""
    flip: bool = True
    """A switch that is on."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}, but must be at least 1")


def parsed(*words: str) -> Config:
    return parse("try", Config, words)


def refusal(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        parsed(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_given_leaves_the_defaults() -> None:
    assert parsed("unet") == Config(model="unet")


def test_a_field_may_be_told_what_was_typed_and_is_no_option_itself(tmp_path: Path) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Curious:
        size: int = 1
        depth: int = 2
        width: int = 3
        given: frozenset[str] = field(default=frozenset(), metadata={"typed_names": True})

    file = tmp_path / "c.yaml"
    file.write_text("depth: 2")

    config = parse("try", Curious, ["--size", "1", "--config", str(file)])

    assert config.given == {"size", "depth"}
    assert "given" not in resolved_yaml("try", Curious, [])
    with pytest.raises(UsageError, match="unknown option --given"):
        parse("try", Curious, ["--given", "x"])


@pytest.mark.parametrize("flag", ["--batch-size", "--batch_size"])
@pytest.mark.parametrize("joined", [True, False])
def test_flags_take_dashes_or_underscores_and_an_equals_sign_or_a_space(
    flag: str, joined: bool
) -> None:
    words = [f"{flag}=4"] if joined else [flag, "4"]

    assert parsed("unet", *words).batch_size == 4


def test_arguments_without_a_flag_fill_the_positional_fields_in_order() -> None:
    config = parsed("unet", "a.jpg", "--overlay", "b, c.jpg", "[d].jpg")

    assert config.model == "unet"
    assert config.inputs == ("a.jpg", "b, c.jpg", "[d].jpg")
    assert config.overlay


def test_positional_fields_also_have_flags() -> None:
    assert parsed("--model", "unet", "--inputs", "a.jpg,b.jpg").inputs == ("a.jpg", "b.jpg")


def test_a_double_dash_ends_the_options() -> None:
    assert parsed("unet", "--", "--odd.jpg").inputs == ("--odd.jpg",)


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--crop", "512"], "crop", 512),
        (["--crop", "360,480"], "crop", (360, 480)),
        (["--crop", "360x480"], "crop", (360, 480)),
        (["--crop", "360", "480"], "crop", (360, 480)),
        (["--crop", "[360, 480]"], "crop", (360, 480)),
        (["--scales", "0.5", "1", "1.5"], "scales", (0.5, 1.0, 1.5)),
        (["--scales", "0.75"], "scales", (0.75,)),
        (["--scale-range", "0.5,1"], "scale_range", (0.5, 1.0)),
        (["--lr", "1e-3"], "lr", 0.001),
        (["--out", "runs/a b"], "out", Path("runs/a b")),
        (["--optimizer", "adamw"], "optimizer", "adamw"),
        (
            ["--options", "output_stride=8,variant=a"],
            "options",
            {"output_stride": 8, "variant": "a"},
        ),
        (["--options", "{output_stride: 8}"], "options", {"output_stride": 8}),
        (["--options", "scale=0.5"], "options", {"scale": 0.5}),
        (
            ["--options", "rates=12,24,36,output_stride=8,multi_grid=1,2,4"],
            "options",
            {"rates": "12,24,36", "output_stride": 8, "multi_grid": "1,2,4"},
        ),
        (["--overlay"], "overlay", True),
        (["--overlay", "true"], "overlay", True),
        (["--no-flip"], "flip", False),
        (["--flip=false"], "flip", False),
    ],
)
def test_values_are_read_as_people_write_them(words: list[str], name: str, value: object) -> None:
    assert getattr(parsed("unet", *words), name) == value


def test_a_tuple_of_numbers_does_not_eat_the_arguments_behind_it() -> None:
    config = parsed("--scales", "0.5", "1", "unet", "a.jpg")

    assert (config.scales, config.model, config.inputs) == ((0.5, 1.0), "unet", ("a.jpg",))


def test_a_tuple_of_two_takes_two_numbers_at_most() -> None:
    config = parsed("--scale-range", "0.5", "1", "7")

    assert (config.scale_range, config.model) == ((0.5, 1.0), "7")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "try needs MODEL (how: atrous try -h)"),
        (["unet", "--batch-size"], "--batch-size needs a value: --batch-size N"),
        (["unet", "--batch-size", "--overlay"], "--batch-size needs a value: --batch-size N"),
        (["unet", "--batch-size", "two"], "--batch-size is 'two', but must be a whole number"),
        (["unet", "--batch-size", "1.5"], "--batch-size is '1.5', but must be a whole number"),
        (["unet", "--lr", "fast"], "--lr is 'fast', but must be a number"),
        (
            ["unet", "--crop", "big"],
            "--crop is 'big', but must be a whole number or 2 whole numbers with commas between",
        ),
        (
            ["unet", "--scale-range", "1"],
            "--scale-range is '1', but must be 2 numbers with commas between",
        ),
        (
            ["unet", "--optimizer", "Adam"],
            "--optimizer is 'Adam', but must be sgd or adamw; did you mean adamw?",
        ),
        (["unet", "--batch-size", "0"], "batch_size is 0, but must be at least 1"),
        (
            ["unet", "--zzz"],
            "unknown option --zzz (all: atrous try -h)",
        ),
    ],
)
def test_a_wrong_word_is_answered_in_one_line(words: list[str], message: str) -> None:
    assert refusal(*words) == message


def test_too_many_arguments_are_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class NoArguments:
        name: str = "x"

    with pytest.raises(UsageError, match="does not know what to do with 'extra'"):
        parse("try", NoArguments, ["extra"])


def test_a_file_sets_options_and_flags_win(tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    file.write_text("model: unet\nbatch-size: 4\ncrop: [360, 480]\nlr: null\nout: a\n")

    config = parsed("--config", str(file), "--out", "b")

    assert config == Config(model="unet", batch_size=4, crop=(360, 480), out=Path("b"))


def test_the_printed_configuration_reads_back_equal(tmp_path: Path) -> None:
    words = ["unet", "a.jpg", "--crop", "360x480", "--options", "a=1", "--out", "x", "--no-flip"]
    file = tmp_path / "try.yaml"

    file.write_text(resolved_yaml("try", Config, words))

    assert parsed("--config", str(file)) == parsed(*words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe\x00", "cannot be read: it is not a text file"),
        (b"crop: [3\nlr: 1", "is not valid YAML: "),
        (b"just text", "must hold lines 'option: value'"),
        (b"batchsize: 3", "unknown option --batchsize; did you mean --batch-size?"),
        (b"batch_size: many", "--batch-size is 'many', but must be a whole number"),
    ],
)
def test_a_faulty_file_is_answered_in_one_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "try.yaml"
    if content is not None:
        file.write_bytes(content)

    assert message in refusal("unet", "--config", str(file))


@dataclass(frozen=True, kw_only=True)
class Bare:
    """An option that may stand alone."""

    inputs: tuple[str, ...] = field(default=(), metadata={"positional": True})
    """Files."""
    crf: Literal["stored", "deeplab"] | None = field(default=None, metadata={"bare": "stored"})
    """Alone or with a name."""


@pytest.mark.parametrize(
    ("words", "crf", "inputs"),
    [
        ([], None, ()),
        (["--crf"], "stored", ()),
        (["--crf", "a.jpg", "b.jpg"], "stored", ("a.jpg", "b.jpg")),
        (["--crf", "deeplab", "a.jpg"], "deeplab", ("a.jpg",)),
        (["a.jpg", "--crf=deeplab"], "deeplab", ("a.jpg",)),
        (["--crf", "--inputs", "b.jpg"], "stored", ("b.jpg",)),
    ],
)
def test_a_flag_may_stand_alone(words: list[str], crf: str | None, inputs: tuple[str, ...]) -> None:
    config = parse("try", Bare, words)

    assert config.crf == crf
    assert config.inputs == inputs


def test_the_misspelt_value_of_a_flag_that_may_stand_alone_is_no_file() -> None:
    with pytest.raises(UsageError, match=r"--crf is 'deeplap', but must be .*did you mean deeplab"):
        parse("try", Bare, ["--crf", "deeplap"])


def test_fractions_in_mappings_are_no_habit_of_another_tool() -> None:
    words = ["--data", "d", "--options", "dropout=0.0", "--lr-factors", "encoder=0.1,biases=2"]
    config = parse("train", TrainConfig, words)
    assert config.options == {"dropout": 0.0}
    assert config.lr_factors == {"encoder": 0.1, "biases": 2.0}
