"""The key compiler: it turns a template into a Python function with the signature of the decorated function.

This happens once, at decoration. A call then makes its key without parsing or binding anything.
"""

from __future__ import annotations

import functools
import keyword
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from inspect import Parameter, Signature, ismethod
from types import FunctionType
from typing import cast

from cashews.exceptions import WrongKeyError
from cashews.keys.context import context_values
from cashews.keys.formatter import Formatter, Takes, TemplateFunction, default_formatter
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
    parse_template,
    template_pattern,
)

__all__ = ["compile_key", "default_template", "get_cache_key_template", "template_pattern"]

_STARRED: dict[object, str] = {Parameter.VAR_POSITIONAL: ARGS, Parameter.VAR_KEYWORD: KWARGS}
RESULT = "result"
"""The root of fields that stand for the result of the call, unless a parameter has this name."""
_CONVERSIONS = {"r": repr, "s": str, "a": ascii}
_FAILURES = (AttributeError, LookupError, TypeError, ValueError)


def default_template(function: Callable[..., object], exclude: Container[str] = ()) -> str:
    """Return a template made of a function's module, its name and its parameters except for the excluded ones."""
    names = [name for name in signature_of(function).parameters if name not in exclude]
    return _default_template(function, names)


def get_cache_key_template(
    function: Callable[..., object], key: str | None = None, prefix: str = "", *, noself: bool = False
) -> str:
    """Return the template of a decorated function's keys: the given one, or the default one, behind the prefix."""
    template = key if key is not None else _default_template(function, _key_names(function, noself=noself))
    return f"{prefix}:{template}" if prefix else template


def compile_key(
    function: Callable[..., object],
    template: str | None = None,
    *,
    prefix: str = "",
    noself: bool = False,
    formatter: Formatter = default_formatter,
    strict: bool = False,
    result: bool = False,
) -> Callable[..., str]:
    """Return a function that makes keys; it takes the same arguments as the decorated function.

    :param template: the template of the keys; `None` for the default template of the function
    :param noself: leave the first parameter of a method out of the default template
    :param strict: give different keys to different arguments, and refuse objects that have no text of their own
    :param result: make a function that takes the result of the call before the arguments, for ``{result.id}``
    :raises WrongKeyError: if the template does not fit the function
    """
    text = get_cache_key_template(function, template, prefix, noself=noself)
    return _KeySource(function, formatter, strict, result).compiled(text)


def _key_names(function: Callable[..., object], *, noself: bool) -> list[str]:
    names = list(signature_of(function).parameters)
    return names[1:] if noself and _has_owner(function, names) else names


def _has_owner(function: Callable[..., object], names: list[str]) -> bool:
    # The signature of a bound method has no parameter for its owner.
    return not ismethod(function) and (_is_method(_named(function)) or names[:1] in (["self"], ["cls"]))


def _default_template(function: Callable[..., object], names: list[str]) -> str:
    parameters = signature_of(function).parameters
    place = f"{_module(function)}{':' if _is_method(_named(function)) else '.'}{_named(function)}"
    fields = [_default_field(parameters[name]) for name in names]
    return ":".join([place.replace("{", "{{").replace("}", "}}"), *fields])


def _default_field(parameter: Parameter) -> str:
    starred = _STARRED.get(parameter.kind)
    return f"{{{starred}}}" if starred else f"{parameter.name}:{{{parameter.name}}}"


def _is_method(qualname: str) -> bool:
    return "." in qualname.rpartition("<locals>.")[2]


def _plain_function(function: Callable[..., object]) -> Callable[..., object]:
    return _plain_function(function.func) if isinstance(function, functools.partial) else function


def _named(function: Callable[..., object]) -> str:
    function = _plain_function(function)
    return getattr(function, "__qualname__", type(function).__qualname__)


def _module(function: Callable[..., object]) -> str:
    function = _plain_function(function)
    return getattr(function, "__module__", None) or type(function).__module__


@dataclass(frozen=True, slots=True)
class _Blame:
    """The error of one field at a call, made from the exception that the field's expression has raised."""

    function: str
    field: str

    def __call__(self, error: Exception) -> WrongKeyError:
        return WrongKeyError(self.function, self.field, f"{type(error).__name__}: {error}")


@dataclass(slots=True)
class _KeySource:
    """The source of one key function: statements for the fields that can fail, then one f-string.

    Everything that the source uses besides the parameters is a global of the function. The names of these globals start
    with `mark`, and no parameter's name does, so parameters may have any name.
    """

    function: Callable[..., object]
    formatter: Formatter
    strict: bool
    result: bool
    signature: Signature = field(init=False)
    name: str = field(init=False)
    mark: str = field(init=False, default="_")
    lines: list[str] = field(init=False, default_factory=list[str])
    names: dict[str, object] = field(init=False)

    def __post_init__(self) -> None:
        self.signature = signature_of(self.function)
        self.name = f"{_module(self.function)}.{_named(self.function)}"
        while any(name.startswith(self.mark) for name in self.signature.parameters):
            self.mark += "_"
        form = self.formatter.form(strict=self.strict)
        self.names = {"__name__": _module(self.function)}
        self.bind(text=form.by_type, result=form.result, failures=_FAILURES, context=context_values)
        self.bind(format=format, getattr=getattr)

    def bind(self, **values: object) -> None:
        """Make values available to the source under their names behind the mark."""
        self.names.update({self.mark + name: value for name, value in values.items()})

    def bound(self, value: object) -> str:
        """Make a value available to the source and return the name that it gets there."""
        name = f"{self.mark}{len(self.names)}"
        self.names[name] = value
        return name

    def compiled(self, template: str) -> Callable[..., str]:
        pieces = "".join(self.pieces(parse_template(template, self.name)))
        body = "\n ".join([*self.lines, f"return {pieces or repr('')}"])
        head = f"def {self.mark}key{self.bare_signature()}:"
        exec(compile(f"{head}\n {body}", f"<key of {self.name}>", "exec"), self.names)  # noqa: S102  names and literals only
        return self.finished(cast("FunctionType", self.names[f"{self.mark}key"]))

    def bare_signature(self) -> Signature:
        bare = [
            parameter.replace(annotation=Parameter.empty, default=Parameter.empty)
            for parameter in self.signature.parameters.values()
        ]
        if self.result:
            bare.insert(0, Parameter(f"{self.mark}outcome", Parameter.POSITIONAL_ONLY))
        return Signature(bare)

    def finished(self, key: FunctionType) -> Callable[..., str]:
        """Give the key function the defaults of the decorated one, and its name, for a `TypeError` at a wrong call."""
        parameters = self.signature.parameters.values()
        defaults = {one.name: one.default for one in parameters if one.default is not Parameter.empty}
        named = {one.name for one in parameters if one.kind is Parameter.KEYWORD_ONLY}
        key.__defaults__ = tuple([value for name, value in defaults.items() if name not in named])
        key.__kwdefaults__ = {name: value for name, value in defaults.items() if name in named}
        key.__qualname__ = _named(self.function)
        key.__name__ = key.__qualname__.rpartition(".")[2]
        return key

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
        return f"f'{{{self.text(part)}}}'{self.end(rest)} "

    def end(self, rest: Template) -> str:
        # In strict keys a colon ends a field, since no text contains one; where there is none, we add a semicolon.
        ends = not rest or (isinstance(rest[0], str) and rest[0].startswith(":"))
        return "" if ends or not self.strict else "';'"

    def optional_kwargs(self) -> str:
        value = self.root(KWARGS, KWARGS)
        text = f"{self.mark}kwargs"
        self.lines.append(f"{text} = ':' + {self.text_of(value)} if {value} else ''")
        return f"f'{{{text}}}'"

    def text_of(self, value: str) -> str:
        return f"{self.mark}text[{value}.__class__]({value})"

    def text(self, part: Field) -> str:
        """Return the expression of a field's text.

        Anything beyond a parameter's name may fail, so it is evaluated in a statement of its own that blames the field.
        """
        self.check_attributes(part)
        value = functools.reduce(self.stepped, part.steps, self.root(part.root, part.source))
        if part.is_plain and value.isidentifier():
            return self.text_of(value)
        local = f"{self.mark}value{len(self.lines)}"
        if part.conversion or part.spec:
            self.guard(part, f"{local} = {self.mark}result({self.transformed(value, part)})")
            return local
        self.guard(part, f"{local} = {value}")
        return self.text_of(local)

    def guard(self, part: Field, statement: str) -> None:
        error, blame = f"{self.mark}error", self.bound(_Blame(self.name, part.source))
        self.lines.append(
            f"try: {statement}\n except {self.mark}failures as {error}: raise {blame}({error}) from {error}"
        )

    def root(self, name: str, source: str) -> str:
        """Return the expression of a field's root."""
        parameters = self.signature.parameters
        starred = {_STARRED[one.kind]: one.name for one in parameters.values() if one.kind in _STARRED}
        if name in parameters:
            return name
        if name in starred:
            return starred[name]
        if self.result and name == RESULT:
            return f"{self.mark}outcome"
        if name == CONTEXT:
            return f"{self.mark}context()"
        if KWARGS in starred and name != ARGS:
            return f"{starred[KWARGS]}[{name!r}]"
        raise WrongKeyError(self.name, source, f"no such parameter; parameters: {', '.join(parameters) or 'none'}")

    def stepped(self, value: str, step: Step) -> str:
        if isinstance(step, Item):
            return f"{value}[{step.key!r}]"
        is_plain = step.name.isidentifier() and not keyword.iskeyword(step.name)
        return f"{value}.{step.name}" if is_plain else f"{self.mark}getattr({value}, {step.name!r})"

    def check_attributes(self, part: Field) -> None:
        parameter = self.signature.parameters.get(part.root)
        returned = parameter is None and self.result and part.root == RESULT
        # The annotations of *args and **kwargs describe their items, not the parameters themselves.
        if not part.steps or ((parameter is None or parameter.kind in _STARRED) and not returned):
            return
        if reason := unknown_attribute(annotations_of(self.function).get("return" if returned else part.root), part):
            raise WrongKeyError(self.name, part.source, reason)

    def transformed(self, value: str, part: Field) -> str:
        """Return the expression of a value with its conversion, and its function or format specification, applied."""
        if part.conversion:
            value = f"{self.bound(_CONVERSIONS[part.conversion])}({value})"
        if part.call:
            return self.called(value, part, part.call)
        return f"{self.mark}format({value}, {part.spec!r})" if part.spec else value

    def called(self, value: str, part: Field, call: FunctionCall) -> str:
        function = self.formatter.functions.get(call.name)
        if function is None:
            known = ", ".join(sorted(self.formatter.functions))
            raise WrongKeyError(self.name, part.source, f"no function {call.name!r}; functions: {known}")
        self.check_call(function, call, part)
        first = {Takes.VALUE: value, Takes.TEXT: f"{self.bound(self.formatter.text)}({value})"}
        form = f"{self.bound(self.formatter.form(strict=self.strict))}({value})"
        arguments = [first.get(function.takes, form), *map(self.bound, call.arguments)]
        return f"{self.bound(function.call)}({', '.join(arguments)})"

    def check_call(self, function: TemplateFunction, call: FunctionCall, part: Field) -> None:
        """Refuse arguments at decoration that the function would refuse at every call."""
        try:
            _check_arity(function.call, call.arguments)
            if function.check is not None:
                function.check(*call.arguments)
        except (TypeError, ValueError) as error:
            raise WrongKeyError(self.name, part.source, f"{call.name}: {error}") from error


def _check_arity(function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    try:
        accepted = signature_of(function)
    except ValueError:
        # Some builtins have no signature.
        return
    accepted.bind(None, *arguments)
