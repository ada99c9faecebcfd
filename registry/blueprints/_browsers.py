"""What browsers are told of every answer: that it is no page, whatever a blob, a manifest or a name holds.

Sources: OWASP, "REST Security Cheat Sheet"; Fetch, 2.2 (nosniff); CSP 3, 6.4.2 (frame-ancestors); RFC 6797 (HSTS).
"""

from __future__ import annotations

from flask import Flask, Response

_NO_PAGE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
}
_TLS_ALONE = {"Strict-Transport-Security": "max-age=31536000"}


def register(app: Flask, *, tls: bool) -> None:
    """Add the headers to every answer of ``app``; ``tls`` tells that clients reach it over TLS.

    A page of a plugin may say otherwise of itself: what an answer has is left as it is.
    """
    told = _NO_PAGE | _TLS_ALONE if tls else _NO_PAGE

    def tell(response: Response) -> Response:
        for name, value in told.items():
            response.headers.setdefault(name, value)
        return response

    app.after_request(tell)
