"""The table of parameters in docs/lineage/README.md: every row is built and counted."""

import ast
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from atrous.models import MODELS, adversarial, build_model
from atrous.weights.blueprint import blueprint

PAGE = Path(__file__).resolve().parents[1] / "docs" / "lineage" / "README.md"
PAPERS = sorted(path for path in PAGE.parent.glob("*.md") if path != PAGE)
ROWS = re.findall(r"\| `([a-z]\w*)\((.*?)\)` \| ([\d.,]+ ?M?) \| ([\d,]+) \|", PAGE.read_text())
ADVERSARIES = re.findall(
    r"\| `(\w*Adversary)\((.*?)\)` \| ([\d,]+) \| ([\d,]+) \|", PAGE.read_text()
)
FIELDS = {"encoder_name", "in_channels", "classes"}
UNIT = {"M": 1e6, "": 1.0}


def counted(name: str, arguments: str) -> int:
    call = ast.parse(f"f({arguments})", mode="eval").body
    assert isinstance(call, ast.Call)
    given = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    fields = {
        key: given.pop(key) for key in ("encoder_name", "in_channels", "classes") & given.keys()
    }
    with blueprint():
        model = build_model(name, **fields, options=given)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(("name", "arguments", "published", "ours"), ROWS)
def test_a_row_is_what_is_counted_and_what_was_published(
    name: str, arguments: str, published: str, ours: str
) -> None:
    number = int(ours.replace(",", ""))
    assert counted(name, arguments) == number
    digits, unit = re.fullmatch(r"([\d.,]+) ?(M?)", published).groups()  # type: ignore[union-attr] - ROWS matched it
    value = float(digits.replace(",", "")) * UNIT[unit]
    assert number == pytest.approx(value, rel=0.025 if unit else 0)


@pytest.mark.parametrize(("name", "arguments", "published", "ours"), ADVERSARIES)
def test_an_adversary_has_the_ports_layers_but_for_the_second_logit(
    name: str, arguments: str, published: str, ours: str
) -> None:
    call = ast.parse(f"f({arguments})", mode="eval").body
    assert isinstance(call, ast.Call)
    with torch.device("meta"):
        adversary = getattr(adversarial, name)(
            *map(ast.literal_eval, call.args),
            **{str(word.arg): ast.literal_eval(word.value) for word in call.keywords},
        )
    *_, last = (module for module in adversary.modules() if isinstance(module, nn.Conv2d))
    second_logit = sum(p.numel() for p in last.parameters())
    count = sum(p.numel() for p in adversary.parameters())

    assert count == int(ours.replace(",", ""))
    assert count + second_logit == int(published.replace(",", ""))


def test_every_architecture_of_the_adversaries_has_a_row() -> None:
    named = {
        found for _, arguments, *_ in ADVERSARIES for found in re.findall(r'"(\w+)"', arguments)
    }
    assert named == set(get_args(get_type_hints(adversarial.Adversary.__init__)["architecture"]))


def test_every_network_has_a_row() -> None:
    assert {name for name, *_ in ROWS} == set(MODELS)


@pytest.mark.parametrize("page", PAPERS, ids=lambda page: page.stem)
def test_every_page_shows_the_picture_that_its_script_draws(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    (picture,) = re.findall(r"!\[.+\]\((\.\./images/lineage/.+)\)", text)
    (script,) = re.findall(r"\((\.\./\.\./examples/lineage/.+\.py)\)", text)

    assert (page.parent / picture).stem == page.stem
    assert (page.parent / picture).is_file()
    assert (page.parent / script).name == f"plot_{page.stem}.py"
    assert (page.parent / script).is_file()
