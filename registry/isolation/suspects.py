"""Who is to blame for processes that died while several plugins were at work in their threads.

Whoever kills processes is in each of those deaths; who only happened to run beside it is not. So of those that a
process was in, the one is to blame that more of the late deaths saw than any other. Until there is such a one, it may
have been any of those that were seen most often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from registry.hooks.crumbs import Death

DEATHS = 3
"""So many processes that died in a plugin within ten minutes switch it off: one more would be found dead as well.

As many that died in the same few, of which it may have been any, switch all of those off.
"""


def suspects(death: Death, recent: Sequence[Death]) -> frozenset[str]:
    """Return the plugin that is to blame for one of the ``recent`` deaths, or all that may be."""
    seen = Counter(plugin for one in recent for plugin in one.plugins)
    most = max(seen[plugin] for plugin in death.plugins)
    return frozenset(plugin for plugin in death.plugins if seen[plugin] == most)


def alike(death: Death, recent: Sequence[Death]) -> int:
    """Return for how many of the ``recent`` deaths the very same are to blame as for this one."""
    wanted = suspects(death, recent)
    return sum(suspects(one, recent) == wanted for one in recent)
