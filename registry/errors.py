"""Errors as the distribution specification names them: one class a code.

Source: OCI distribution-spec 1.1, "Error Codes"; codes that it lacks (``UNSUPPORTED_MEDIA_TYPE`` and the 5xx
ones) follow the form the specification gives for further codes.
"""

from __future__ import annotations

# Long: one class a code, all in one place.
from typing import ClassVar


class RegistryError(Exception):
    """A refusal that a client is told of.

    ``message`` is for people, ``detail`` is JSON-shaped and names the offending thing; ``headers`` are added to
    the answer (``Retry-After``, ``Range``, ...).
    """

    code: ClassVar[str] = "UNKNOWN"
    http_status: ClassVar[int] = 500
    summary: ClassVar[str] = "unknown error"

    def __init__(
        self, message: str | None = None, *, detail: object = None, headers: dict[str, str] | None = None
    ) -> None:
        """Use the code's summary where no ``message`` is given."""
        self.message = str(message or self.summary)  # a plugin may have given anything
        self.detail = detail
        self.headers = headers or {}
        super().__init__(self.message)


class BlobUnknown(RegistryError):
    """The blob is not in this repository (code-1)."""

    code, http_status, summary = "BLOB_UNKNOWN", 404, "blob unknown to repository"


class BlobUploadInvalid(RegistryError):
    """The upload cannot go on as asked (code-2)."""

    code, http_status, summary = "BLOB_UPLOAD_INVALID", 400, "blob upload invalid"


class BlobUploadUnknown(RegistryError):
    """No such upload session in this repository (code-3)."""

    code, http_status, summary = "BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry"


class RangeInvalid(BlobUploadInvalid):
    """A chunk does not start where the upload stands, or a range cannot be served (RFC 9110, 416)."""

    http_status, summary = 416, "requested range not satisfiable"


class UploadBusy(BlobUploadInvalid):
    """Another request is writing to this upload session."""

    http_status, summary = 409, "another request is writing to this upload"


class DigestInvalid(RegistryError):
    """The digest is malformed, of no supported algorithm, or not that of the content (code-4)."""

    code, http_status, summary = "DIGEST_INVALID", 400, "provided digest did not match uploaded content"


class SizeInvalid(RegistryError):
    """The length announced is not the length received (code-10)."""

    code, http_status, summary = "SIZE_INVALID", 400, "provided length did not match content length"


class ManifestBlobUnknown(RegistryError):
    """A manifest names blobs or manifests that are not in the repository (code-5)."""

    code, http_status, summary = (
        "MANIFEST_BLOB_UNKNOWN",
        404,
        "manifest references content unknown to repository",
    )


class ManifestInvalid(RegistryError):
    """The manifest breaks a rule of its format (code-6)."""

    code, http_status, summary = "MANIFEST_INVALID", 400, "manifest invalid"


class ManifestTooLarge(ManifestInvalid):
    """The manifest is longer than the registry accepts (RFC 9110, 413)."""

    http_status, summary = 413, "manifest too large"


class ManifestUnknown(RegistryError):
    """No such manifest in this repository (code-7)."""

    code, http_status, summary = "MANIFEST_UNKNOWN", 404, "manifest unknown to registry"


class UnsupportedMediaType(RegistryError):
    """No installed format owns this media type (RFC 9110, 415)."""

    code, http_status, summary = "MANIFEST_INVALID", 415, "manifest media type is not supported"


class NameInvalid(RegistryError):
    """The repository name breaks the grammar (code-8)."""

    code, http_status, summary = "NAME_INVALID", 400, "invalid repository name"


class TagInvalid(RegistryError):
    """The tag breaks the grammar."""

    code, http_status, summary = "TAG_INVALID", 400, "invalid tag name"


class NameUnknown(RegistryError):
    """The repository does not exist (code-9)."""

    code, http_status, summary = "NAME_UNKNOWN", 404, "repository name not known to registry"


class PaginationInvalid(RegistryError):
    """``n`` or ``last`` of a listing cannot be used."""

    code, http_status, summary = "PAGINATION_NUMBER_INVALID", 400, "invalid pagination"


class Denied(RegistryError):
    """The action is refused to this principal (code-12)."""

    code, http_status, summary = "DENIED", 403, "requested access to the resource is denied"


class DigestPurged(Denied):
    """The content was purged from this registry, and is refused."""

    summary = "this content was purged, and may not come back"


class DeletionRefused(Denied):
    """The content is in use and may not be deleted."""

    http_status, summary = 405, "content is in use"


class TagImmutable(Denied):
    """The tag may not be moved, deleted or given an end; the detail says what forbids it."""

    http_status, summary = 409, "the tag is immutable"


class Unsupported(RegistryError):
    """The operation does not exist here (code-13)."""

    code, http_status, summary = "UNSUPPORTED", 405, "the operation is unsupported"


class RequestInvalid(Unsupported):
    """The request itself is malformed: framing, headers or query."""

    http_status, summary = 400, "invalid request"


class NotRestorable(RegistryError):
    """What is to be restored is gone for good, as a whole or in part; the detail names it."""

    code, http_status, summary = "NOT_RESTORABLE", 409, "this cannot be restored any more"


class ExpiryInvalid(RegistryError):
    """A tag cannot be given this end."""

    code, http_status, summary = "EXPIRY_INVALID", 400, "the tag cannot be given this end"


class LabelInvalid(RegistryError):
    """The label cannot be stored."""

    code, http_status, summary = "LABEL_INVALID", 400, "invalid label"


class LabelUnknown(RegistryError):
    """The manifest has no such label."""

    code, http_status, summary = "LABEL_UNKNOWN", 404, "label unknown"


class LabelRefused(RegistryError):
    """The label cannot be removed."""

    code, http_status, summary = "LABEL_REFUSED", 409, "the label stays"


class RuleInvalid(RegistryError):
    """A rule's definition cannot be used; the detail names the field."""

    code, http_status, summary = "RULE_INVALID", 400, "invalid rule"


class RuleTaken(RegistryError):
    """Another rule has this name."""

    code, http_status, summary = "RULE_TAKEN", 409, "another rule has this name"


class RuleUnknown(RegistryError):
    """No such rule."""

    code, http_status, summary = "RULE_UNKNOWN", 404, "rule unknown"


class PlanUnknown(RegistryError):
    """No such plan of retention for this repository; plans are kept for thirty days."""

    code, http_status, summary = "PLAN_UNKNOWN", 404, "plan of retention unknown"


class PlanOutdated(RegistryError):
    """The plan cannot be carried out any more, or not yet."""

    code, http_status, summary = "PLAN_OUTDATED", 409, "the plan is not what would be decided now"


class EndpointUnknown(RegistryError):
    """No operation of ``/api/v1`` has this path."""

    code, http_status, summary = "ENDPOINT_UNKNOWN", 404, "no such endpoint"


class InputInvalid(RegistryError):
    """What was sent to ``/api/v1`` is not what the operation takes; the detail names the field."""

    code, http_status, summary = "INPUT_INVALID", 400, "invalid input"


class InputTooLarge(InputInvalid):
    """The body is longer than any operation of ``/api/v1`` needs (RFC 9110, 413)."""

    http_status, summary = 413, "the body is too large"


class InputTypeUnsupported(InputInvalid):
    """The body is not JSON, or does not say so (RFC 9110, 415)."""

    http_status, summary = 415, "the body must be application/json"


class PreconditionFailed(RegistryError):
    """What is to be changed is not as the client saw it last (RFC 9110, 412)."""

    code, http_status, summary = "PRECONDITION_FAILED", 412, "it was changed meanwhile: read it again"


class NameTaken(RegistryError):
    """A repository has this name already."""

    code, http_status, summary = "NAME_TAKEN", 409, "the repository name is taken"


class Unavailable(RegistryError):
    """A part that this request needs does not answer; nothing was changed and a retry may succeed."""

    code, http_status, summary = "UNAVAILABLE", 503, "service unavailable"

    def __init__(self, message: str | None = None, *, detail: object = None, retry_after: int = 5) -> None:
        """Ask the client to come back after ``retry_after`` seconds."""
        super().__init__(message, detail=detail, headers={"Retry-After": str(retry_after)})


class ReadOnly(Unavailable):
    """An operator has the whole registry take no writes for a while; pulls go on."""

    summary = "the registry is read-only"


class InsufficientStorage(RegistryError):
    """The store is full; nothing was kept of this request (RFC 4918, 507)."""

    code, http_status, summary = "INSUFFICIENT_STORAGE", 507, "the registry's storage is full"


class JobUnknown(RegistryError):
    """No such job, or no such run of one."""

    code, http_status, summary = "JOB_UNKNOWN", 404, "job unknown"


class ConsumerUnknown(RegistryError):
    """Nobody of this name hears of events."""

    code, http_status, summary = "CONSUMER_UNKNOWN", 404, "consumer of events unknown"


class LetterUnknown(RegistryError):
    """No such dead letter: it was told, dropped or forgotten."""

    code, http_status, summary = "LETTER_UNKNOWN", 404, "dead letter unknown"


class JobRefused(RegistryError):
    """The run cannot be started or stopped as things stand."""

    code, http_status, summary = "JOB_REFUSED", 409, "the job's state does not allow this"


class PluginUnknown(RegistryError):
    """No plugin has this name, or it is not blocked."""

    code, http_status, summary = "PLUGIN_UNKNOWN", 404, "plugin unknown"


class Unauthorized(RegistryError):
    """Who asks is not known, or not known to be allowed this (code-11); the answer says how to be known."""

    code, http_status, summary = "UNAUTHORIZED", 401, "authentication required"

    def __init__(
        self, message: str | None = None, *, detail: object = None, wanted: str = "", reason: str = ""
    ) -> None:
        """Name the scope that is ``wanted`` (Docker's token scopes), and why a token was refused (RFC 6750, 3.1)."""
        super().__init__(message, detail=detail)
        self.wanted = wanted
        self.reason = reason


class TooManyRequests(RegistryError):
    """Too many wrong credentials came from there (code-14)."""

    code, http_status, summary = "TOOMANYREQUESTS", 429, "too many requests"

    def __init__(self, message: str | None = None, *, detail: object = None, retry_after: int = 1) -> None:
        """Ask the client to come back after ``retry_after`` seconds."""
        super().__init__(message, detail=detail, headers={"Retry-After": str(retry_after)})


class AuthenticationOff(RegistryError):
    """The registry asks nobody who they are: the setting ``authentication`` is off."""

    code, http_status, summary = "AUTHENTICATION_OFF", 409, "authentication is off here"


class ProviderUnknown(RegistryError):
    """No provider of logins has this name, or none is set at all."""

    code, http_status, summary = "PROVIDER_UNKNOWN", 404, "no such provider of logins"


class ProviderFailed(RegistryError):
    """A provider of logins does not answer, or not as one does."""

    code, http_status, summary = "PROVIDER_FAILED", 502, "the provider of logins does not answer as it should"


class LoginInvalid(RegistryError):
    """A step of a login that was not begun here, is done already, or came too late."""

    code, http_status, summary = "LOGIN_INVALID", 400, "no such login, or it has expired"


class LoginRefused(RegistryError):
    """Whoever the provider says it is is not let in; the message says what would let them in."""

    code, http_status, summary = "LOGIN_REFUSED", 403, "the login is refused"


class LoginPending(RegistryError):
    """Nobody has allowed the login yet (RFC 8628, 3.5)."""

    code, http_status, summary = "AUTHORIZATION_PENDING", 400, "nobody has allowed it yet"


class LoginPolled(LoginPending):
    """Who waits for a login asks too often, and is to wait five seconds longer from now on (RFC 8628, 3.5)."""

    code, summary = "SLOW_DOWN", "asked too soon: wait five seconds longer each time from now on"


class LoginExpired(LoginPending):
    """Nobody allowed the login in time, or there is none of this secret (RFC 8628, 3.5)."""

    code, summary = "EXPIRED_TOKEN", "there is no such login, or it has expired: begin anew"


class LoginDenied(LoginPending):
    """Somebody refused the login (RFC 8628, 3.5)."""

    code, summary = "ACCESS_DENIED", "the login was refused"


class IdentityTaken(RegistryError):
    """This subject of the provider is somebody already."""

    code, http_status, summary = "IDENTITY_TAKEN", 409, "the identity is somebody's already"


class IdentityUnknown(RegistryError):
    """No such identity of this user."""

    code, http_status, summary = "IDENTITY_UNKNOWN", 404, "no such identity"


class ScopeInvalid(RegistryError):
    """A scope of a token or of an API key cannot be used."""

    code, http_status, summary = "SCOPE_INVALID", 400, "invalid scope"


class PrincipalInvalid(RegistryError):
    """A user, robot or team cannot be as it was asked for; the detail names the field."""

    code, http_status, summary = "PRINCIPAL_INVALID", 400, "invalid user, robot or team"


class PrincipalTaken(RegistryError):
    """The name is taken."""

    code, http_status, summary = "PRINCIPAL_TAKEN", 409, "the name is taken"


class PrincipalUnknown(RegistryError):
    """No user, robot or team has this name."""

    code, http_status, summary = "PRINCIPAL_UNKNOWN", 404, "no such user, robot or team"


class TrustInvalid(RegistryError):
    """A trust cannot be as it was asked for, or what is to be explained is no token; the detail names the field."""

    code, http_status, summary = "TRUST_INVALID", 400, "invalid trust"


class TrustTaken(RegistryError):
    """Another trust has this name."""

    code, http_status, summary = "TRUST_TAKEN", 409, "another trust has this name"


class TrustUnknown(RegistryError):
    """No such trust."""

    code, http_status, summary = "TRUST_UNKNOWN", 404, "trust unknown"


class KeyUnknown(RegistryError):
    """No such API key."""

    code, http_status, summary = "KEY_UNKNOWN", 404, "API key unknown"
