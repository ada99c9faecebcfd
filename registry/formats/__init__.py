"""The built-in manifest formats: one plugin module each, and helpers (``_*.py``) that several share.

A format is pure: it reads bytes and what its :class:`~registry.hooks.ContentReader` hands it, nothing else.
"""
