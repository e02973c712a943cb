"""The source of a key function: the statements and the expression that make the key of a call from its arguments."""

from __future__ import annotations

import functools
import keyword
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Final, NoReturn, cast

from cashews._dataclass import dataclass, field
from cashews.exceptions import NoKeyError, UnstableKeyError, WrongKeyError
from cashews.keys.context import context_values
from cashews.keys.formatter import Formatter, Takes, TemplateFunction
from cashews.keys.kinds import Text
from cashews.keys.names import STARRED, Owner, Subject
from cashews.keys.signatures import annotations_of, signature_of, unknown_attribute
from cashews.keys.template import (
    ARGS,
    CONTEXT,
    KWARGS,
    Field,
    FunctionCall,
    Item,
    Step,
    Template,
    ends_in_kwargs,
    needs_end,
    parse_template,
)
from cashews.keys.text import PlainText, TextForm
from cashews.keys.writing import Head, call_of, compiled, indented

RESULT = "result"
"""The root of fields that stand for the result of the call, unless a parameter has this name."""
_CONVERSIONS: Final[dict[str, Text]] = {"r": repr, "s": str, "a": ascii}


@dataclass(frozen=True, slots=True)
class _Blame:
    """The error of one field at a call, made from the exception that the field's expression has raised."""

    function: str
    field: str

    def __call__(self, error: Exception) -> WrongKeyError:
        return WrongKeyError(self.function, self.field, _told(error))


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The errors of a key in use: with strict keys they say all, otherwise they quote no argument."""

    function: str
    strict: bool

    def __call__(self, error: Exception) -> NoReturn:
        if isinstance(error, UnstableKeyError):
            error = UnstableKeyError(error.kind, error.doubt, self.function)
        if self.strict:
            raise error if isinstance(error, WrongKeyError) else WrongKeyError(self.function, "", _told(error))
        field = error.field if isinstance(error, WrongKeyError) else ""
        while isinstance(error, WrongKeyError) and error.field and error.__cause__ is not None:
            error = cast("Exception", error.__cause__)
        reason = error.reason if isinstance(error, UnstableKeyError) else type(error).__name__
        raise NoKeyError(self.function, f"field {{{field}}}: {reason}" if field else reason, field)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@dataclass(slots=True)
class KeySource:
    """The source of one key function: statements for the fields that can fail, then one f-string.

    Everything that the source uses besides the parameters is a global of the function. The names of these globals start
    with `mark`, and no parameter's name does, so parameters may have any name.
    """

    function: Callable[..., object]
    subject: Subject
    formatter: Formatter
    strict: bool
    result: bool
    in_use: bool
    form: TextForm = field(init=False)
    plain: PlainText = field(init=False)
    mark: str = field(init=False, default="_")
    lines: list[str] = field(init=False, default_factory=list[str])
    names: dict[str, object] = field(init=False)
    whole: str = field(init=False, default="''")
    """The expression of the key."""

    def __post_init__(self) -> None:
        while any(name.startswith(self.mark) for name in self.subject.signature.parameters):
            self.mark += "_"
        shown = not (self.strict or self.in_use)
        self.form = self.formatter.form(strict=self.strict, shown=shown)
        self.plain = self.formatter.plain(shown=shown)
        self.names = {"__name__": self.subject.module}
        self.bind(text=self.form.by_type, text_of=self.form.by_type.get, form=self.form)
        self.bind(result=self.form.result, shown=self.form.shown, context=context_values)
        self.bind(format=format, getattr=getattr, type=type, failure=Exception, missing=(AttributeError, LookupError))
        self.bind(refuse=_Refusal(self.name, self.strict))

    @property
    def name(self) -> str:
        return self.subject.name

    def bind(self, **values: object) -> None:
        """Make values available to the source under their names behind the mark."""
        self.names.update({self.mark + name: value for name, value in values.items()})

    def bound(self, value: object) -> str:
        """Make a value available to the source and return the name that it gets there."""
        name = f"{self.mark}{len(self.names)}"
        self.names[name] = value
        return name

    def read(self, head: str, rest: str, left_out: str | None = None) -> None:
        """Read a template that is given in two parts.

        :param left_out: the parameter for the object of a method, whose class is named between the parts
        """
        if left_out is None:
            pieces = self.pieces(parse_template(head + rest, self.name))
        else:
            first, second = parse_template(head, self.name), parse_template(rest, self.name)
            pieces = [*self.pieces(first), self.owner(left_out), *self.pieces(second)]
        self.whole = "".join(pieces) or repr("")

    def key(self) -> Callable[..., str]:
        """Return the function that makes keys."""
        place, body = f"<key of {self.name}>", self.statements("return ")
        key = compiled(f"def {self.mark}key{self.bare_signature()}", body, self.names, place, self.subject.signature)
        key.__qualname__ = self.subject.qualname  # for a `TypeError` at a wrong call
        key.__name__ = key.__qualname__.rpartition(".")[2]
        return key

    def head(self) -> Head:
        """Return the head of a function that takes calls, makes their keys, and has the signature of the subject."""
        args, kwargs, given = call_of(self.subject.signature)
        key, names = self.statements(f"{self.mark}key = "), {**self.names}
        return Head(str(self.bare_signature()), key, args, kwargs, given, names, self.mark, self.subject.signature)

    def statements(self, use: str) -> str:
        """Return the statements that make a key, and then use it."""
        body = "\n".join([*self.lines, use + self.whole])
        if self.in_use or self.strict:
            error = f"{self.mark}error"
            body = f"try:\n{indented(body)}\nexcept {self.mark}failure as {error}: {self.mark}refuse({error})"
        return body

    def owner(self, name: str) -> str:
        home = f"{self.subject.module}.{self.subject.qualname.rpartition('.')[0]}"
        return f"f'{{{self.bound(Owner(home, self.form.report))}({self.root(name, name)})}}'"

    def bare_signature(self) -> Signature:
        bare = [
            parameter.replace(annotation=Parameter.empty, default=Parameter.empty)
            for parameter in self.subject.signature.parameters.values()
        ]
        if self.result:
            bare.insert(0, Parameter(f"{self.mark}outcome", Parameter.POSITIONAL_ONLY))
        return Signature(bare)

    def pieces(self, parts: Template) -> list[str]:
        """Return the string literals that form the key when they are written side by side."""
        if not ends_in_kwargs(parts):
            return [self.piece(part, parts[index + 1 :]) for index, part in enumerate(parts)]
        *fixed, literal, _ = parts
        shortened = str(literal)[:-1]
        return [*self.pieces((*fixed, *filter(None, [shortened]))), self.optional_kwargs()]

    def piece(self, part: str | Field, rest: Template) -> str:
        if isinstance(part, str):
            return repr(part)
        end = "';'" if self.strict and needs_end(rest) else ""
        return f"f'{{{self.text(part)}}}'{end} "

    def optional_kwargs(self) -> str:
        value = self.root(KWARGS, KWARGS)
        text = f"{self.mark}kwargs"
        self.lines.append(f"{text} = ':' + {self.text_of(value)} if {value} else ''")
        return f"f'{{{text}}}'"

    def text_of(self, value: str) -> str:
        kind = f"{self.mark}type({value})"
        if self.in_use:  # an item of a mapping of our own takes longer than its `get`: 4 % of a hit
            return f"{self.mark}text_of({kind}, {self.mark}form)({value})"
        return f"{self.mark}text[{kind}]({value})"  # no frame more between a warning and the caller

    def text(self, part: Field) -> str:
        """Return the expression of a field's text.

        Anything beyond a parameter's name may fail, so it is evaluated in a statement of its own that blames the field.
        """
        self.check_attributes(part)
        value = functools.reduce(self.stepped, part.steps, self.root(part.root, part.source))
        if part.is_plain and value.isidentifier():
            return self.text_of(value)
        local = f"{self.mark}value{len(self.lines)}"
        if part.call:
            self.guard(part, f"{local} = {self.mark}result({self.called(value, part, part.call, local)})")
            return local
        if part.conversion or part.spec:
            self.guard(part, f"{local} = {value}\n {local} = {self.mark}result({self.formatted(local, part)})")
            return local
        self.guard(part, f"{local} = {value}")
        return self.text_of(local)

    def guard(self, part: Field, statements: str) -> None:
        error, blame = f"{self.mark}error", self.bound(_Blame(self.name, part.source))
        self.lines.append(
            f"try:\n {statements}\nexcept {self.mark}failure as {error}: raise {blame}({error}) from {error}"
        )

    def root(self, name: str, source: str) -> str:
        """Return the expression of a field's root."""
        parameters, bound = self.subject.signature.parameters, self.subject.bound
        starred = {STARRED[one.kind]: one.name for one in parameters.values() if one.kind in STARRED}
        name = starred.get(name, name)
        if name in parameters:
            if parameters[name].kind not in STARRED or not bound.get(name):
                return name
            form = "(*{}, *{})" if parameters[name].kind is Parameter.VAR_POSITIONAL else "{{**{}, **{}}}"
            return form.format(self.bound(bound[name]), name)
        if name in bound:
            return self.bound(bound[name])
        if self.result and name == RESULT:
            return f"{self.mark}outcome"
        if name == CONTEXT:
            return f"{self.mark}context()"
        if KWARGS in starred and name != ARGS:
            return f"{self.root(KWARGS, source)}[{name!r}]"
        raise WrongKeyError(self.name, source, f"no such parameter; parameters: {', '.join(parameters) or 'none'}")

    def stepped(self, value: str, step: Step) -> str:
        if isinstance(step, Item):
            return f"{value}[{step.key!r}]"
        is_plain = step.name.isidentifier() and not keyword.iskeyword(step.name)
        return f"{value}.{step.name}" if is_plain else f"{self.mark}getattr({value}, {step.name!r})"

    def check_attributes(self, part: Field) -> None:
        parameter = self.subject.signature.parameters.get(part.root)
        returned = parameter is None and self.result and part.root == RESULT
        # The annotations of *args and **kwargs describe their items, not the parameters themselves.
        if not part.steps or ((parameter is None or parameter.kind in STARRED) and not returned):
            return
        if reason := unknown_attribute(annotations_of(self.function).get("return" if returned else part.root), part):
            raise WrongKeyError(self.name, part.source, reason)

    def formatted(self, value: str, part: Field) -> str:
        """Return the expression of a value with its conversion and its format specification applied."""
        text = f"{self.bound(_CONVERSIONS[part.conversion])}({value})" if part.conversion else value
        text = f"{self.mark}format({text}, {part.spec!r})" if part.spec else text
        return f"{self.mark}shown({value}, {text})"

    def called(self, value: str, part: Field, call: FunctionCall, local: str) -> str:
        """Return the expression of a function's result."""
        function = self.formatter.functions.get(call.name)
        if function is None:
            known = ", ".join(sorted(self.formatter.functions))
            raise WrongKeyError(self.name, part.source, f"no function {call.name!r}; functions: {known}")
        positional, keywords = function.split(call.arguments)
        self.check_call(function, part, positional, keywords)
        if function.takes is Takes.OPTIONAL:
            self.lines.append(f"try: {local} = {value}\nexcept {self.mark}missing: {local} = None")
            value = local
        if part.conversion:
            value = f"{self.bound(_CONVERSIONS[part.conversion])}({value})"
        first = {Takes.TEXT: f"{self.bound(self.plain)}({value})", Takes.FORM: f"{self.bound(self.form)}({value})"}
        arguments = [first.get(function.takes, value), *map(self.argument, positional)]
        arguments += [f"{name}={self.argument(text)}" for name, text in keywords.items()]
        return f"{self.bound(function.call)}({', '.join(arguments)})"

    def argument(self, argument: object) -> str:
        """Return the expression of a function's argument: a literal, or the plain text of a nested field."""
        if not isinstance(argument, Field):
            return self.bound(argument)
        self.check_attributes(argument)
        value = functools.reduce(self.stepped, argument.steps, self.root(argument.root, argument.source))
        if argument.call:
            raise WrongKeyError(self.name, argument.source, "a nested field has no function of its own")
        if argument.conversion or argument.spec:
            return self.formatted(value, argument)
        return f"{self.bound(self.plain)}({value})"

    def check_call(
        self, function: TemplateFunction, part: Field, positional: tuple[object, ...], keywords: Mapping[str, object]
    ) -> None:
        """Refuse arguments at decoration that the function would refuse at every call."""
        try:
            _check_arity(function.call, positional, keywords)
            if function.check is not None and not any(isinstance(one, Field) for one in positional):
                function.check(*positional, **keywords)
        except (TypeError, ValueError) as error:
            raise WrongKeyError(self.name, part.source, f"{part.call and part.call.name}: {error}") from error


def _check_arity(
    function: Callable[..., object], positional: tuple[object, ...], keywords: Mapping[str, object]
) -> None:
    try:
        accepted = signature_of(function)
    except ValueError:
        # Some builtins have no signature.
        return
    accepted.bind(None, *positional, **keywords)
