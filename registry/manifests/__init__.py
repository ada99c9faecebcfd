"""Manifests: how they are written, found, converted and listed."""
