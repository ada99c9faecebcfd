"""Repositories and the tags in them."""
