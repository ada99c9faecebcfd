"""Moorage: a container registry that is extended with ``pip install``."""
