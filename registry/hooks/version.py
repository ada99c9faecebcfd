"""The version of the plugin API, which moves on its own and not with the registry's.

Semantic versioning: within a major version names, hooks, arguments and fields with a default are only added, so a
plugin written against ``1.x`` runs on every later ``1.y``. 1.0: formats and storage drivers. 1.1: label actions with
effects, and optional capabilities of drivers. 1.2: admission, artifact types, events, jobs, commands, blueprints and
settings of plugins. 1.3: logins and denials of access; stores that give URLs, try their calls, and tell what they have
of uploads.
"""

from __future__ import annotations

API_VERSION = "1.3"
"""The plugin API that this registry offers, MAJOR.MINOR."""
