"""The command line: one file per command; `main.py` parses, calls and turns errors into a line."""

__all__: list[str] = []
