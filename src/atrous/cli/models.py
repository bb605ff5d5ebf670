"""`atrous models`: the table of networks and encoders."""

from dataclasses import asdict, dataclass, field

from atrous.cli.console import answer, parameters, style, table
from atrous.cli.model_rows import Row, encoders, networks, own_names
from atrous.errors import unknown

__all__ = ["ModelsConfig", "run"]


@dataclass(frozen=True, kw_only=True)
class ModelsConfig:
    """List networks and encoders."""

    text: str = field(default="", metadata={"positional": True})
    """Only names that contain this; timm's encoders are searched as well."""


def run(config: ModelsConfig) -> int:
    """Print the tables; return 0.

    Raises:
        InputError: No name contains the text.
    """
    found, (parts, left_out) = networks(config.text), encoders(config.text)
    if not found and not parts:
        raise unknown("model or encoder", config.text, own_names(), see="atrous models")
    answer(
        _text(found, parts, left_out, config.text),
        {"networks": [asdict(row) for row in found], "encoders": [asdict(row) for row in parts]},
    )
    return 0


def _text(found: list[Row], parts: list[Row], left_out: int, text: str) -> str:
    blocks = []
    if found:
        cells: list[tuple[str, ...]]
        heading: tuple[str, ...] = ("network", "parameters", "stride", "encoder", "paper")
        cells = [(*_cells(row), row.encoder or "its own", row.paper or "") for row in found]
        blocks.append(table([heading, *cells], right=(1, 2)))
    if parts:
        heading = ("encoder", "parameters", "stride", "paper")
        cells = [(*_cells(row), row.paper or "") for row in parts]
        blocks.append(table([heading, *cells], right=(1, 2)))
    if left_out:
        blocks.append(f" and {left_out} more of timm's that contain {text!r}")
    if not text:
        blocks.append(
            style(" Every convolutional pyramid of timm is an encoder too: ", "dim")
            + "atrous models efficientnet\n"
            + style(" Parameters with 21 classes; next: ", "dim")
            + "atrous train --data FOLDER --model NAME --encoder NAME"
        )
    return "\n\n".join(blocks)


def _cells(row: Row) -> tuple[str, str, str]:
    return row.name, parameters(row.parameters), str(row.output_stride)
