"""The parts of a made street scene; `atrous.data.synthetic` puts them together."""

__all__: list[str] = []
