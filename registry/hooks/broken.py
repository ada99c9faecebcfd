"""What a call of a plugin can come to, other than an answer."""

from __future__ import annotations


class PluginBroke(Exception):
    """An implementation failed: it raised what its hook does not allow, or returned what is none of its answers.

    ``reason`` is for the log; ``shown`` is what of it clients may read, where the words are the registry's own.
    """

    def __init__(self, plugin: str, hook: str, reason: str, *, shown: str = "") -> None:
        """Name the plugin, the hook, and what happened."""
        self.plugin, self.hook, self.reason, self.shown = plugin, hook, reason, shown
        super().__init__(f"plugin {plugin} failed in {hook}: {reason}")


class PluginOff(PluginBroke):
    """The plugin was switched off after it failed too badly; what it decides about stays closed."""


class PluginBlocked(PluginBroke):
    """An operator blocked the plugin while the registry runs: it counts as not installed."""


class WrongAnswer(TypeError):
    """An answer is none that the hook allows; raised while it is read, with the registry's own words."""

    @classmethod
    def of(cls, answer: object) -> WrongAnswer:
        """Name the type of what came instead."""
        return cls(f"it returned {type(answer).__name__}")


def described(error: BaseException) -> str:
    """Describe an error whose own words may fail, too."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - whatever it is, it is the plugin's
        return type(error).__name__


def placed(error: BaseException) -> str:
    """Tell an error's type and the place that raised it, and none of its words."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_globals.get('__name__', '')}:{place.tb_lineno}" if place else ""
    return f"{type(error).__name__}{where}"
