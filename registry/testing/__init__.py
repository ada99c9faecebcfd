"""What tests of plugins, and tests that need a registry to talk to, are written with.

Installed with ``pip install moorage[testing]``, pytest finds the fixtures by itself (:mod:`registry.testing.plugin`):
``moorage_app``, ``moorage_server``, ``moorage_client`` and others. Beside them stand

- :mod:`registry.testing.images`: builders of images, indexes and artifacts,
- :mod:`registry.testing.contracts`: suites to subclass, one a kind of plugin,
- :mod:`registry.testing.access`: what plugins that decide about access are asked,
- :mod:`registry.testing.client`: the client that pushes and pulls,
- :mod:`registry.testing.content`: a repository's content as a plugin's hooks read it,
- :mod:`registry.testing.faults`: a storage that fails as planned,
- :mod:`registry.testing.clock`: a time to move.

Each lists its public names in ``__all__``. Nothing is imported here: every run of pytest loads this package.
"""
