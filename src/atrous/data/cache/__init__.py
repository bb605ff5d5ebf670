"""Decoded pairs, kept in memory or on disk so that each is decoded once."""

__all__: list[str] = []
