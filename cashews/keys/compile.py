"""Keys: the template of a function, compiled once to one Python function with the signature of the decorated one."""

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
"""The root of fields that the result of the call fills, where it is known and no parameter has that name."""
_CONVERSIONS = {"r": repr, "s": str, "a": ascii}
_FAILURES = (AttributeError, LookupError, TypeError, ValueError)


def default_template(function: Callable[..., object], exclude: Container[str] = ()) -> str:
    """Return the template of a function's module, name and parameters, without the excluded ones."""
    names = [name for name in signature_of(function).parameters if name not in exclude]
    return _default_template(function, names)


def get_cache_key_template(
    function: Callable[..., object], key: str | None = None, prefix: str = "", *, noself: bool = False
) -> str:
    """Return the template that a decorated function's keys are made with."""
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
    """Return the function that makes the key of a call; it is called just as the decorated function is.

    :param template: the default template of the function if `None`.
    :param noself: leave the first parameter of a method out of the default template.
    :param strict: different arguments give different keys, and objects without a text of their own are refused.
    :param result: it is called with the result of the call before the arguments, and ``{result.id}`` is a field.
    :raises WrongKeyError: the template does not fit the function.
    """
    text = get_cache_key_template(function, template, prefix, noself=noself)
    return _KeySource(function, formatter, strict, result).compiled(text)


def _key_names(function: Callable[..., object], *, noself: bool) -> list[str]:
    names = list(signature_of(function).parameters)
    return names[1:] if noself and _has_owner(function, names) else names


def _has_owner(function: Callable[..., object], names: list[str]) -> bool:
    # A bound method has left its owner out already.
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
    """Turns what went wrong in a field at a call into the error of that field."""

    function: str
    field: str

    def __call__(self, error: Exception) -> WrongKeyError:
        return WrongKeyError(self.function, self.field, f"{type(error).__name__}: {error}")


@dataclass(slots=True)
class _KeySource:
    """The source of one key function: statements that work out the fields, then one f-string.

    Everything it uses besides the parameters is a global whose name starts with `mark`, as no parameter does, so a
    parameter may have any name.
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
        """Make values known to the source, under marked names."""
        self.names.update({self.mark + name: value for name, value in values.items()})

    def bound(self, value: object) -> str:
        """Make a value known to the source and return its name."""
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
        """Give the key function the defaults and the name of the decorated one, which its `TypeError` then tells."""
        parameters = self.signature.parameters.values()
        defaults = {one.name: one.default for one in parameters if one.default is not Parameter.empty}
        named = {one.name for one in parameters if one.kind is Parameter.KEYWORD_ONLY}
        key.__defaults__ = tuple([value for name, value in defaults.items() if name not in named])
        key.__kwdefaults__ = {name: value for name, value in defaults.items() if name in named}
        key.__qualname__ = _named(self.function)
        key.__name__ = key.__qualname__.rpartition(".")[2]
        return key

    def pieces(self, parts: Template) -> list[str]:
        """Return the adjacent string literals that the key is made of."""
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
        # In strict keys a field ends at a colon, which no text contains; a semicolon stands in where there is none.
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
        """Return the expression of a field's text; more than a name is worked out before, where its failure is told."""
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
        """Return the expression of what a field starts with."""
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
        spoken = step.name.isidentifier() and not keyword.iskeyword(step.name)
        return f"{value}.{step.name}" if spoken else f"{self.mark}getattr({value}, {step.name!r})"

    def check_attributes(self, part: Field) -> None:
        parameter = self.signature.parameters.get(part.root)
        returned = parameter is None and self.result and part.root == RESULT
        # What *args and **kwargs are annotated with are their items.
        if not part.steps or ((parameter is None or parameter.kind in _STARRED) and not returned):
            return
        if reason := unknown_attribute(annotations_of(self.function).get("return" if returned else part.root), part):
            raise WrongKeyError(self.name, part.source, reason)

    def transformed(self, value: str, part: Field) -> str:
        """Return the expression of a value after its conversion and its function or format specification."""
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
        """Refuse arguments that the function would refuse at every call."""
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
        # Some builtins do not tell their parameters.
        return
    accepted.bind(None, *arguments)
