"""Apps with plugins of a test's own, as the tests of hooks have them."""

from tests.hooks.conftest import make_plugin, with_plugins

__all__ = ["make_plugin", "with_plugins"]
