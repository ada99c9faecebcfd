"""Suites of what each kind of plugin must do: subclass one in your tests, and name what it is to test.

The built-in formats, drivers and plugins pass the very same ones. Where a check fails, the report ends with what
the contract wants.
"""

from registry.testing.contracts.access import AuthenticationContract, AuthorizationContract
from registry.testing.contracts.admission import AdmissionContract
from registry.testing.contracts.formats import FormatContract
from registry.testing.contracts.label_actions import LabelActionContract
from registry.testing.contracts.observers import ObserverContract
from registry.testing.contracts.storage import StorageDriverContract

__all__ = [
    "AdmissionContract",
    "AuthenticationContract",
    "AuthorizationContract",
    "FormatContract",
    "LabelActionContract",
    "ObserverContract",
    "StorageDriverContract",
]
