"""What every answer says to browsers, and whether a form was sent from our own page."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
TWO_YEARS = "max-age=63072000"


class SecurityHeaders:
    """Adds them to every answer; nothing is stored by a browser but what says that it may be."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = TWO_YEARS
            await send(message)

        await self._app(scope, receive, send_with_headers)


def is_from_own_page(request: Request) -> bool:
    """Browsers say where a form comes from, and no page can make them lie. Browsers that are told by plain HTTP which
    page it was know Origin alone; its scheme is not looked at, for a proxy may have ended TLS."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = _host(request.headers.get("Origin", ""))
    return origin is not None and origin == _host(f"//{request.headers.get('Host', '')}")


def is_asked_as(request: Request, names: Sequence[str]) -> bool:
    """Whether the browser was told to come here by one of these names. A proxy may put its own in place of the host's
    that it was asked by, but leaves the page's that the browser sends a form from."""
    said = [f"//{request.headers.get('Host', '')}", *request.headers.getlist("Origin")]
    hosts = [_host(address) for address in said]
    return all(host is not None and host[0] in names for host in hosts)


def _host(address: str) -> tuple[str, int | None] | None:
    """Name and port; None of what is no address."""
    try:
        parts = urlsplit(address)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (name, port) if name else None
