"""Parses the `where` parameter (docs.mixpanel.com: segmentation-expressions) into a tree."""

import re
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>\d+\.\d*|\.\d+|\d+)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<word>[A-Za-z_]\w*)
      | (?P<symbol>==|!=|>=|<=|[><+\-*/%()\[\],])
    )""",
    re.VERBOSE,
)
SCOPES = ("properties", "user", "event")
FUNCTIONS = ("defined", "number", "string", "boolean", "datetime", "floor", "round", "ceil")
LITERALS = {"true": True, "false": False}
COMPARISONS = ("==", "!=", ">", ">=", "<", "<=", "in")


class WhereError(ValueError):
    """The expression cannot be understood or evaluated; its text goes to the client with a 400."""


@dataclass(frozen=True)
class Literal:
    value: Any


@dataclass(frozen=True)
class PropertyOf:
    scope: str
    name: str


@dataclass(frozen=True)
class ListOf:
    items: tuple["Expression", ...]


@dataclass(frozen=True)
class Unary:
    operator: str
    operand: "Expression"


@dataclass(frozen=True)
class Binary:
    operator: str
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Call:
    function: str
    argument: "Expression"


Expression = Literal | PropertyOf | ListOf | Unary | Binary | Call
Token = tuple[str, str]
END: Token = ("end", "the end")


def parse_where(text: str) -> Expression:
    parser = _Parser(_tokens(text))
    expression = parser.disjunction()
    parser.expect_end()
    return expression


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise WhereError(f"unexpected character at position {position}: {text[position:][:20]!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return [*tokens, END]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


class _Parser:
    """Recursive descent, loosest first: or, and, not, comparisons, sums, products, minus, primary."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0

    def _next_is(self, *texts: str) -> bool:
        kind, text = self._tokens[self._position]
        return kind in ("symbol", "word") and text in texts

    def _take(self) -> Token:
        token = self._tokens[self._position]
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token

    def _expect(self, text: str) -> None:
        if not self._next_is(text):
            raise WhereError(f"expected {text!r}, got {self._tokens[self._position][1]!r}")
        self._take()

    def expect_end(self) -> None:
        if self._tokens[self._position] != END:
            raise WhereError(f"unexpected {self._tokens[self._position][1]!r}")

    def disjunction(self) -> Expression:
        left = self._conjunction()
        while self._next_is("or"):
            left = Binary(self._take()[1], left, self._conjunction())
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self._next_is("and"):
            left = Binary(self._take()[1], left, self._negation())
        return left

    def _negation(self) -> Expression:
        if self._next_is("not"):
            return Unary(self._take()[1], self._negation())
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._sum()
        while self._next_is(*COMPARISONS):
            left = Binary(self._take()[1], left, self._sum())
        return left

    def _sum(self) -> Expression:
        left = self._product()
        while self._next_is("+", "-"):
            left = Binary(self._take()[1], left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while self._next_is("*", "/", "%"):
            left = Binary(self._take()[1], left, self._signed())
        return left

    def _signed(self) -> Expression:
        if self._next_is("-"):
            return Unary(self._take()[1], self._signed())
        return self._primary()

    def _primary(self) -> Expression:
        kind, text = self._take()
        if kind == "number":
            return Literal(float(text) if "." in text else int(text))
        if kind == "string":
            return Literal(_unquoted(text))
        if text == "(" and kind == "symbol":
            inside = self.disjunction()
            self._expect(")")
            return inside
        if text == "[" and kind == "symbol":
            return self._list()
        if kind == "word":
            return self._named(text)
        raise WhereError(f"unexpected {text!r}")

    def _list(self) -> Expression:
        items: list[Expression] = []
        while not self._next_is("]"):
            items.append(self.disjunction())
            if not self._next_is("]"):
                self._expect(",")
        self._expect("]")
        return ListOf(tuple(items))

    def _named(self, word: str) -> Expression:
        if word in LITERALS:
            return Literal(LITERALS[word])
        if word in SCOPES:
            self._expect("[")
            kind, text = self._take()
            if kind != "string":
                raise WhereError(f"{word}[…] takes a name in quotes, got {text!r}")
            self._expect("]")
            return PropertyOf(word, _unquoted(text))
        if word in FUNCTIONS:
            self._expect("(")
            argument = self.disjunction()
            self._expect(")")
            return Call(word, argument)
        raise WhereError(f"unknown name {word!r}")
