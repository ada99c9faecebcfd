"""What owners of artifact types say about a manifest, beside what its format's owner says."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from registry.hooks.admitting import Contexts, named
from registry.hooks.calls import Calls
from registry.hooks.manager import PluginError

NO_ARTIFACTS: Mapping[str, str] = MappingProxyType({})


def owners_of_artifacts(calls: Calls, contexts: Contexts) -> Mapping[str, str]:
    """Return the plugin that owns each artifact type; raises :class:`PluginError` with both names where two do."""
    owners: dict[str, str] = {}
    for plugin in calls.plugins("artifact_types"):
        for claimed in named(calls, plugin, "artifact_types", contexts) or ():
            if claimed in owners:
                raise PluginError(f"{claimed} is claimed by two plugins: {owners[claimed]} and {plugin}")
            owners[claimed] = plugin
    return owners
