"""What the documents show works: Python blocks run, commands parse, docstring examples hold.

In README.md, examples/README.md and docs/*.md, ```python blocks of one file run in order, in one
namespace, in a folder that holds `photo.jpg`; in ```console blocks every `$ atrous ...` is parsed,
and run where it needs no data. A block that cannot run here has the line
`<!-- not run: the reason -->` above it.
"""

import doctest
import importlib
import re
import shlex
from pathlib import Path

import pytest

from atrous.cli.commands import COMMANDS
from atrous.cli.main import main
from atrous.cli.parsing import parse

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"(?P<above>[^\n]*)\n```(?P<language>\w+)\n(?P<text>.*?)\n```", re.DOTALL)
RUNS_ANYWHERE = ("--version", "--help", "models")


def blocks(path: Path, language: str) -> list[str]:
    """Return the blocks of a document in one language, without those marked as not run."""
    return [
        found["text"]
        for found in BLOCK.finditer(path.read_text(encoding="utf-8"))
        if found["language"] == language and "<!-- not run: " not in found["above"]
    ]


def commands() -> list[tuple[str, str]]:
    """Return (document, command line) of every `$ atrous ...` in a console block."""
    return [
        (path.name, re.sub(r"\s+#.*", "", line[2:]))
        for path in DOCUMENTS
        for block in blocks(path, "console")
        for line in block.splitlines()
        if line.startswith("$ atrous")
    ]


def modules_with_examples() -> list[str]:
    return [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((SOURCE / "atrous").rglob("*.py"))
        if re.search(r"^\s+>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstring_examples_hold(name: str) -> None:
    module = importlib.import_module(name)

    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)

    assert failed == 0


@pytest.mark.parametrize(("document", "line"), commands())
def test_commands_in_the_documents_are_commands(
    document: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, name, *words = shlex.split(line)
    if name in RUNS_ANYWHERE:
        assert main([name, *words]) == 0
        return
    flags = [word for word in words if word not in ("--json", "--debug", "--help", "-h")]

    assert name in COMMANDS, f"{document} shows a command that does not exist: {line}"
    parse(name, COMMANDS[name].config_class(), flags)


@pytest.mark.parametrize(
    "path", [p for p in DOCUMENTS if blocks(p, "python")], ids=lambda p: p.name
)
def test_python_in_the_documents_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from atrous.data.synthetic import make_scene

    monkeypatch.chdir(tmp_path)
    Image.fromarray(make_scene(0, (256, 256))[0]).save("photo.jpg")
    namespace: dict[str, object] = {}
    for block in blocks(path, "python"):
        exec(compile(block, str(path), "exec"), namespace)


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_links_into_the_repository_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8"))

    assert [target for target in targets if not (path.parent / target).exists()] == []
