"""Blobs and the uploads that make them."""
