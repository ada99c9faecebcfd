"""A browser without scripts: it follows redirects, keeps cookies, reads a page's form and presses its buttons."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Protocol
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
from flask.testing import FlaskClient

_MOST_REDIRECTS = 10
_FORM = "application/x-www-form-urlencoded"


class Asking(Protocol):
    """Asks for a URL; no redirect is followed."""

    def __call__(self, method: str, url: str, form: Mapping[str, str] | None = None) -> "Page":
        """Return the answer."""
        ...


class _Reader(HTMLParser):
    """Reads the form, the links and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of what can be pressed."""
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found["action"]
        elif tag == "input" and found.get("type") == "hidden":
            self.fields[found["name"]] = found["value"]
        elif tag == "a":
            self.links.append(found["href"])

    def handle_data(self, data: str) -> None:
        """Take note of what is there to read."""
        self.words += data.split()


@dataclass
class Page:
    """An answer: its address, status, headers and text."""

    url: str
    status: int
    headers: Mapping[str, str]
    text: str
    _reader: _Reader = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._reader = _Reader()
        self._reader.feed(self.text)

    @property
    def action(self) -> str:
        """Where the page's form goes."""
        return urljoin(self.url, self._reader.action)

    @property
    def fields(self) -> Mapping[str, str]:
        """What the page's form holds already."""
        return self._reader.fields

    @property
    def links(self) -> list[str]:
        """The addresses that the page leads to."""
        return [urljoin(self.url, link) for link in self._reader.links]

    @property
    def words(self) -> str:
        """What there is to read, without its layout."""
        return " ".join(self._reader.words)

    @property
    def next(self) -> str:
        """Where a redirect leads, empty for a page that is none."""
        return urljoin(self.url, self.headers["Location"]) if "Location" in self.headers else ""

    @property
    def query(self) -> dict[str, str]:
        """The query of the address that a redirect leads to."""
        return dict(parse_qsl(urlsplit(self.next).query))


class Browser:
    """One browser; ``ask`` keeps its cookies."""

    def __init__(self, ask: Asking) -> None:
        self.ask = ask

    def go(self, url: str, until: str = "") -> Page:
        """Open a URL and follow redirects, to the end or to an address that starts with ``until``, which is not opened."""
        page = self.ask("GET", url)
        for _ in range(_MOST_REDIRECTS):
            if not page.next or (until and page.next.startswith(until)):
                return page
            page = self.ask("GET", page.next)
        raise AssertionError(f"{url} leads round in a circle, by {page.next}")

    def press(self, page: Page, answer: str) -> Page:
        """Send a page's form with the button ``answer``."""
        return self.ask("POST", page.action, {**page.fields, "answer": answer})


def browser_of(client: FlaskClient, address: str, **more: Any) -> Browser:
    """Return a browser that finds an app at ``address``, and everything else on the network."""

    def ask(method: str, url: str, form: Mapping[str, str] | None = None) -> Page:
        if not url.startswith(f"{address}/"):
            return _page(httpx.request(method, url, timeout=30))
        data = None if form is None else dict(form)
        answer = client.open(
            url.removeprefix(address), method=method, data=data, content_type=_FORM if data else None, **more
        )
        return Page(url, answer.status_code, dict(answer.headers), answer.text)

    return Browser(ask)


def browser_over(client: httpx.Client) -> Browser:
    """Return a browser that finds everything on the network."""
    return Browser(lambda method, url, form=None: _page(client.request(method, url, data=form)))


def _page(answer: httpx.Response) -> Page:
    return Page(str(answer.url), answer.status_code, answer.headers, answer.text)
