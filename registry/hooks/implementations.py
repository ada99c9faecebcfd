"""What plugins do for hooks, as it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from registry.hooks.guards import Tally


@dataclass(frozen=True, slots=True)
class Implementation:
    """What a plugin does for a hook: ``pick`` takes what it wants, in its order, out of all arguments by name."""

    plugin: str
    function: Callable[..., object]
    pick: Callable[[Mapping[str, object]], Sequence[object]]
    tally: Tally
    passes: tuple[type[BaseException], ...]

    @property
    def blocked(self) -> bool:
        """Whether the plugin is not to be called now."""
        return bool(self.tally.guard.blocked)


def picking(names: Sequence[str]) -> Callable[[Mapping[str, object]], Sequence[object]]:
    """Return what takes the arguments of these names, in their order."""
    match names:
        case ():
            return lambda _: ()
        case (name,):
            return lambda arguments: (arguments[name],)
    return itemgetter(*names)
