"""`python -m atrous` is `atrous`."""

from atrous.cli.main import entry

if __name__ == "__main__":
    entry()
