"""Proves who somebody is by a JWT as Supabase signs it, with HS256."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import jwt

ALGORITHM = "HS256"
# Both the audience and the role of people who signed in; `anon` and `service_role` are no people.
SIGNED_IN = "authenticated"
# Clocks of two machines.
LEEWAY = timedelta(seconds=5)


class TokenError(Exception):
    """The token proves nothing; the message says no more than what to do."""


class ExpiredTokenError(TokenError):
    """It was good once."""


@dataclass(frozen=True)
class Person:
    """Who is signed in, and until when."""

    user_id: UUID
    until: datetime


def read_token(token: str, secret: str) -> Person:
    """Whom a token names.

    Raises:
        ExpiredTokenError: its time is over.
        TokenError: it is not signed with the secret, not for this, or names nobody.
    """
    try:
        claims = jwt.decode(
            token, secret, algorithms=[ALGORITHM], audience=SIGNED_IN, leeway=LEEWAY,
            options={"require": ["exp", "aud", "sub"]},
        )  # fmt: skip
        user_id = UUID(claims["sub"])
        until = datetime.fromtimestamp(claims["exp"], UTC)
    except jwt.ExpiredSignatureError:
        raise ExpiredTokenError("Your sign-in has expired. Sign in again.") from None
    # A token of somebody hostile may hold anything: numbers too large for a time, brackets a thousand deep.
    except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError, OSError, RecursionError):
        raise _refused() from None
    if str(user_id) != claims["sub"].lower() or claims.get("role") != SIGNED_IN:
        raise _refused()
    return Person(user_id, until)


def make_token(user_id: UUID, secret: str, lasts: timedelta) -> str:
    """A token as Supabase would make it."""
    claims = {"sub": str(user_id), "role": SIGNED_IN, "aud": SIGNED_IN, "exp": datetime.now(UTC) + lasts}
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def _refused() -> TokenError:
    return TokenError("This token is not valid here. Sign in with another.")
