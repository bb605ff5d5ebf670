"""Every example runs as its docstring says, and ends in a picture."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").rglob("plot_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_draws(path: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"

    ran = subprocess.run(
        [sys.executable, str(path), str(picture)], cwd=tmp_path, capture_output=True, text=True
    )

    assert ran.returncode == 0, ran.stderr
    with Image.open(picture) as image:
        assert len(image.convert("L").resize((64, 64)).getcolors()) > 8  # not blank


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_tells_a_story_and_how_to_run_it(path: Path) -> None:
    story = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""

    assert len(story.split()) > 30
    assert f"python {path.relative_to(ROOT)}" in story
