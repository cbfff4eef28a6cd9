"""Text of the filter language as a MongoDB query: optimade's grammar and transformer.

Of `MongoTransformer` come the walk over the tree and the reading of operators. It passes text into
regular expressions, does not unescape strings, drops all but the first of several expressions,
finds what is not known by some negations, and has no booleans, dates and correlated lists: what it
makes of each comparison is made by `conditions` here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lark import Lark, Token, v_args
from lark.exceptions import LarkError, UnexpectedInput, VisitError
from lark.lexer import PatternRE, TerminalDef
from optimade.filterparser.lark_parser import AVAILABLE_PARSERS
from optimade.filtertransformers.mongo import MongoTransformer

from forcebase.database.filters import conditions
from forcebase.database.filters.conditions import Condition, Item, Query, Value
from forcebase.errors import InputError
from forcebase.records.fields import Field, fields_of, find_field

GRAMMAR = (1, 2, 0)
LONGEST = 20_000
"""Characters of a filter."""
DEEPEST = 20
"""Brackets in one another; MongoDB takes queries of some 100 levels."""
LONGEST_PATH = 4
"""Records that a path may lead through, as in structure.family."""
MOST_FOUND = 50_000
"""Records that a condition on the records that are named may find: 3 MB of ids in the query."""
HELP = 'Write field=value, or as in elements HAS "Si" AND max_force < 5: docs/filters.md.'
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


@dataclass(frozen=True)
class Lookups:
    """What a filter asks a database for.

    Attributes:
        id_of: the id of the record that a name, tag or the first digits of an id stand for.
        ids: ids of the records of a collection that a query finds, at most so many.
    """

    id_of: Callable[[str, str], str]
    ids: Callable[[str, Mapping[str, Any], int], list[str]]


class _Property(str):
    """A path of a field, where a text could stand."""


def filter_query(text: str, collection: str, lookups: Lookups) -> Query:
    """Turn a filter into a MongoDB query on the records of a collection.

    Args:
        text: of the filter language.
        collection: of the records.
        lookups: of the database.

    Raises:
        InputError: it cannot be read, is too long or too deep, or names a field that there is not.
        NotFoundError: a name in it stands for no record.
    """
    _check(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        raise _unreadable(text, error) from None
    except LarkError as error:
        raise InputError(f"The filter cannot be read: {error}", hint=HELP) from None
    try:
        condition: Condition = _Conditions(text, collection, lookups).transform(tree)
    except VisitError as error:
        raise error.orig_exc from None  # lark puts what its callbacks raise into one of its own
    return condition.fits()


def _check(text: str) -> None:
    """Raise InputError where a filter is such that reading it could take long, or be mistaken."""
    if len(text) > LONGEST:
        raise InputError(
            f"The filter has {len(text)} characters; up to {LONGEST} are read.",
            hint="From Python, find() also takes lists: find(id=[...]).",
        )
    if not text.strip():
        raise InputError("The filter is empty.", hint=HELP)
    if CONTROL.search(text) or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise InputError("The filter holds a character that no text has.", hint=HELP)
    if any(sign in part for part in STRING.findall(text) for sign in "\t\r\n"):
        raise InputError("A text in the filter goes over the end of a line, or holds a tab.")
    outside = STRING.sub("", text)
    if '"' in outside:
        raise InputError("A text in the filter has no end.", hint='Write " behind it.')
    depth = 0
    for sign in outside:
        depth += (sign == "(") - (sign == ")")
        if depth > DEEPEST:
            raise InputError(f"The filter has more than {DEEPEST} brackets in one another.")


@cache
def _parser() -> Lark:
    """A parser of OPTIMADE's grammar that takes time in proportion to the text.

    Names inside objects may have capitals here, as in basis.cutoff_eV and e0s.Si. optimade's own
    parser tries all ways to read a text, and forgets which boolean it read.
    """

    def with_capitals(terminal: TerminalDef) -> None:
        if terminal.name == "NESTED_IDENTIFIER":
            terminal.pattern = PatternRE("[A-Za-z_][A-Za-z0-9_+]*")

    return Lark(
        AVAILABLE_PARSERS[GRAMMAR]["default"].read_text(),
        parser="lalr",
        maybe_placeholders=False,
        propagate_positions=True,
        edit_terminals=with_capitals,
    )


def _unreadable(text: str, error: UnexpectedInput) -> InputError:
    at = error.pos_in_stream if isinstance(error.pos_in_stream, int) else len(text)
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return InputError(f"The filter ends too early: {text[-60:]}", hint=HELP)
    near = text[max(at, 0) : at + 20]
    return InputError(f"The filter cannot be read at character {at + 1}, {near!r}.", hint=HELP)


class _Conditions(MongoTransformer):
    """Makes conditions of the tree of a filter."""

    def __init__(self, text: str, collection: str, lookups: Lookups) -> None:
        super().__init__()
        self._text = text
        self._collection = collection
        self._lookups = lookups

    def postprocess(self, query: Condition) -> Condition:
        """There is nothing left to be done."""
        return query

    def filter(self, arg: list[Condition]) -> Condition:
        """All of the text."""
        if len(arg) != 1:
            raise InputError("Between two conditions stands AND or OR.", hint=HELP)
        return arg[0]

    def expression(self, arg: list[Condition]) -> Condition:
        """Conditions with OR between."""
        return conditions.either(arg)

    def expression_clause(self, arg: list[Condition]) -> Condition:
        """Conditions with AND between."""
        return conditions.both(arg)

    def expression_phrase(self, arg: list[Any]) -> Condition:
        """A condition or brackets, with NOT before or without."""
        found: Condition = arg[-1]
        return found.negated() if isinstance(arg[0], Token) else found

    @v_args(inline=True)
    def property_first_comparison(self, path: _Property, rest: Sequence[Any]) -> Condition:
        """A field, and what is asked of it."""
        return self._condition(self._collection, path, rest, 0)

    def constant_first_comparison(self, arg: list[Any]) -> Condition:
        """A value, an operator and a field."""
        value, operator, path = arg
        if not isinstance(path, _Property):
            raise InputError(f"{value!r} {operator} {path!r} compares no field.", hint=HELP)
        turned = self._reversed_operator_map[operator]
        return self._condition(self._collection, path, ("compare", turned, value), 0)

    def _condition(self, place: str, path: str, asked: Sequence[Any], passed: int) -> Condition:
        field, rest = find_field(place, path)
        if rest:
            return self._of_named(field, rest, asked, passed + 1)
        how, *given = asked
        if how == "known":
            found = conditions.is_known(field)
            return found if given[0] else found.negated()
        if how == "compare":
            return conditions.compared(field, given[0], self._stands_for(field, *given))
        if how == "text":
            return conditions.text_found(field, *given)
        if how == "has":
            return conditions.has(field, *given)
        if how == "length":
            return self._length(place, field, *given)
        names, which, rows = given
        others = [find_field(place, name) for name in names]
        if any(rest for _, rest in others):
            raise InputError(f"{path}:{':'.join(names)} are not lists of the same record.")
        return conditions.correlated([field, *(other for other, _ in others)], which, rows)

    def _of_named(self, field: Field, rest: str, asked: Sequence[Any], passed: int) -> Condition:
        """A condition on the record that a field names."""
        if passed > LONGEST_PATH:
            raise InputError(f"A path leads through more than {LONGEST_PATH} records.")

        def ids(query: Mapping[str, Any]) -> list[str]:
            found = self._lookups.ids(field.reference, query, MOST_FOUND + 1)
            if len(found) > MOST_FOUND:
                raise InputError(
                    f"More than {MOST_FOUND} {field.reference} fit what the filter says of "
                    f"{field.name}.{rest}.",
                    hint="Ask of a field of the records themselves, or say more.",
                )
            return found

        if asked[0] == "known":
            known = self._condition(field.reference, rest, ("known", True), passed)
            found = conditions.joined_known(field, ids, known)
            return found if asked[1] else found.negated()
        return conditions.joined(field, ids, self._condition(field.reference, rest, asked, passed))

    def _stands_for(self, field: Field, operator: str, value: Value) -> Value:
        """The id that a name stands for, where the field holds one."""
        if field.reference and operator in ("=", "!=") and isinstance(value, str):
            return self._lookups.id_of(value, field.reference)
        return value

    def _length(self, place: str, field: Field, operator: str, n: int) -> Condition:
        """Of elements, the number of them that records keep has an index."""
        kept = fields_of(place).get(f"n{field.name}")
        if kept is not None and field.many:
            return conditions.compared(kept, operator, n)
        return conditions.has_length(field, operator, n)

    @v_args(inline=True)
    def value_op_rhs(self, operator: Token, value: Value) -> tuple[Any, ...]:
        """An operator and a value."""
        return "compare", str(operator), _constant(value)

    def known_op_rhs(self, arg: list[Token]) -> tuple[Any, ...]:
        """IS KNOWN or IS UNKNOWN."""
        return "known", arg[1] == "KNOWN"

    def fuzzy_string_op_rhs(self, arg: list[Any]) -> tuple[Any, ...]:
        """CONTAINS, STARTS WITH or ENDS WITH a text."""
        return "text", str(arg[0]), _constant(arg[-1])

    def set_op_rhs(self, arg: list[Any]) -> tuple[Any, ...]:
        """HAS and a value, or ALL, ANY or ONLY and values."""
        if isinstance(arg[-1], list):
            return "has", str(arg[1]), arg[-1]
        return "has", "ALL", _items(arg[1:])

    def length_op_rhs(self, arg: list[Any]) -> tuple[Any, ...]:
        """LENGTH and a number, with an operator or without."""
        return "length", str(arg[1]) if len(arg) == 3 else "=", arg[-1]

    def set_zip_op_rhs(self, arg: list[Any]) -> tuple[Any, ...]:
        """The other lists, HAS and values with colons between."""
        names, _, *rest = arg
        which, rows = ("ALL", rest) if len(rest) == 1 else (str(rest[0]), rest[1])
        return "correlated", names, which, rows

    def property_zip_addon(self, arg: list[Any]) -> list[str]:
        """The lists that are searched together with the first."""
        return [str(name) for name in arg]

    def value_list(self, arg: list[Any]) -> list[Item]:
        """Values, each with its operator."""
        return _items(arg)

    def value_zip(self, arg: list[Any]) -> list[Item]:
        """Values for each of several lists."""
        return _items(arg)

    def value_zip_list(self, arg: list[Any]) -> list[list[Item]]:
        """Several of these."""
        return arg

    def property(self, args: list[Token]) -> _Property:
        """The path of a field."""
        return _Property(".".join(args))

    @v_args(inline=True)
    def string(self, string: Token) -> str:
        """A text without its quotes and the signs that protect some in it."""
        return re.sub(r"\\(.)", r"\1", string[1:-1])

    @v_args(inline=True)
    def not_implemented_string(self, value: Any) -> str:
        """A text where a field should stand."""
        return str(value)

    @v_args(meta=True)
    def bool(self, meta: Any, _: list[Any]) -> bool:
        """TRUE or FALSE; the grammar does not keep which."""
        return self._text.startswith("TRUE", meta.start_pos)

    @v_args(inline=True)
    def number(self, number: Token) -> int | float:
        """A number that MongoDB can hold."""
        return _number(number)

    @v_args(inline=True)
    def signed_int(self, number: Token) -> int:
        """A number of items."""
        return int(_number(number))


def _number(text: str) -> int | float:
    value = float(text)
    if abs(value) == float("inf"):
        raise InputError(f"{text[:50]} is beyond all numbers that are stored.")
    whole = re.fullmatch(r"[+-]?[0-9]+", text) and abs(value) < conditions.LARGEST_INTEGER / 2
    return int(text) if whole else value


def _constant(value: Any) -> Value:
    if isinstance(value, _Property):
        raise InputError(
            f"{value} is a name, and stands where a value should.",
            hint=f'Write text in double quotes: "{value}".',
        )
    found: Value = value
    return found


def _items(arg: Sequence[Any]) -> list[Item]:
    found: list[Item] = []
    operator = "="
    for part in arg:
        if isinstance(part, Token):
            operator = str(part)
        else:
            found.append((operator, _constant(part)))
            operator = "="
    return found
