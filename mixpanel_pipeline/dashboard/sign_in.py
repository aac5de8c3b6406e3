"""Signing in and out: a token goes into a cookie that no script can read."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mixpanel_pipeline.dashboard.links import address, is_local
from mixpanel_pipeline.dashboard.options import Options
from mixpanel_pipeline.dashboard.security import is_asked_as, is_from_own_page
from mixpanel_pipeline.dashboard.templates import Templates
from mixpanel_pipeline.dashboard.tokens import Person, TokenError, make_token, read_token

COOKIE = "mixpanel_pipeline_token"
# Browsers keep no larger cookie.
MOST_FORM_BYTES = 8192
MOST_TOKEN_BYTES = 3800
READER_STAYS = timedelta(hours=12)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class SignIn:
    """The page, its two forms, and who is signed in."""

    def __init__(self, options: Options, templates: Templates) -> None:
        self._options = options
        self._templates = templates

    def person(self, request: Request) -> Person | None:
        """Who is signed in; None when nobody says who they are.

        Raises:
            TokenError: they say it with a token that is not, or no longer, good.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return read_token(token.strip(), self._options.jwt_secret)
        cookie = request.cookies.get(COOKIE)
        return read_token(cookie, self._options.jwt_secret) if cookie else None

    async def page(self, request: Request) -> Response:
        problem = None
        try:
            self.person(request)
        except TokenError as error:
            problem = str(error)
        return self._shown(request, request.query_params.get("next", ""), problem, 200)

    async def enter(self, request: Request) -> Response:
        """Takes a token, or the place of a reader in the list of a demo."""
        form = await _form(request)
        after = form.get("next", "")
        if not is_from_own_page(request):
            return self._shown(request, after, "Sign in from this page, not from another site.", 403)
        try:
            token = self._token(request, form)
            person = read_token(token, self._options.jwt_secret)
        except TokenError as error:
            return self._shown(request, after, str(error), 401)
        response = RedirectResponse(after if is_local(request, after) else address(request, "overview"), 303)
        stays = max(0, int((person.until - datetime.now(UTC)).total_seconds()))
        response.set_cookie(
            COOKIE, token, max_age=stays, path=request.scope.get("root_path") or "/", httponly=True, samesite="lax",
            secure=request.scope["scheme"] == "https",
        )  # fmt: skip
        return response

    async def leave(self, request: Request) -> Response:
        if not is_from_own_page(request):
            return self._shown(request, "", "Sign out from the dashboard's own pages.", 403)
        response = RedirectResponse(address(request, "sign_in"), 303)
        response.delete_cookie(COOKIE, path=request.scope.get("root_path") or "/", httponly=True, samesite="lax")
        return response

    def _token(self, request: Request, form: dict[str, str]) -> str:
        if "reader" not in form:
            token = form.get("token", "").strip()
            if not token or len(token) > MOST_TOKEN_BYTES:
                raise TokenError(f"A token is needed, of at most {MOST_TOKEN_BYTES:,} characters.")
            return token
        chosen = {str(place): reader for place, reader in enumerate(self._options.readers)}.get(form["reader"])
        # Another name than this machine's own may be a stranger's site that leads here (DNS rebinding).
        if chosen is None or not is_asked_as(request, LOOPBACK):
            raise TokenError("There is no such reader to sign in as.")
        return make_token(chosen.user_id, self._options.jwt_secret, READER_STAYS)

    def _shown(self, request: Request, after: str, problem: str | None, status: int) -> Response:
        context = {
            "after": after if is_local(request, after) else "",
            "problem": problem,
            "readers": list(enumerate(self._options.readers)),
        }
        return self._templates.answer(request, "sign_in.html", context, None, status)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, each once. What is larger than any form of ours is no form of ours."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM_BYTES:
            return {}
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}
