"""Image files judged by their bytes before, and read around, the decoders' weak points."""

__all__: list[str] = []
