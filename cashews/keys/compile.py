"""The key compiler: it turns a template into a Python function with the signature of the decorated function.

This happens once, at decoration. A call then makes its key without parsing or binding anything.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from cashews.exceptions import WrongKeyError
from cashews.keys.formatter import Formatter, default_formatter
from cashews.keys.names import STARRED, Subject, subject_of, without_textless
from cashews.keys.source import RESULT, KeySource
from cashews.keys.template import Field, parse_template, template_pattern

__all__ = ["RESULT", "default_template", "get_cache_key_template", "key_source", "template_pattern"]


def default_template(function: Callable[..., object], exclude: Container[str | None] = ()) -> str:
    """Return a template made of a function's module, its name and its parameters except for the excluded ones."""
    subject = subject_of(function)
    return _literal(subject.place) + subject.fields(exclude)


def get_cache_key_template(
    function: Callable[..., object], key: str | None = None, prefix: str = "", *, noself: bool = False
) -> str:
    """Return the template of a decorated function's keys: the given one, or the default one, behind the prefix."""
    return template_of(subject_of(function), key, prefix, noself=noself)


def template_of(subject: Subject, key: str | None, prefix: str = "", *, noself: bool = False) -> str:
    """Return the template of a function's keys: the given one, or the default one, behind the prefix."""
    head, rest = _template(subject, key, prefix, noself=noself)
    return head + rest


def key_source(
    function: Callable[..., object],
    template: str | None = None,
    *,
    prefix: str = "",
    noself: bool = False,
    formatter: Formatter = default_formatter,
    strict: bool = False,
    result: bool = False,
    in_use: bool = False,
    answers: bool = True,
) -> KeySource:
    """Return the source of the keys of a function's calls.

    :param template: the template of the keys; `None` for the default template of the function
    :param noself: leave the first parameter of a method out of the default template, and name its class
    :param strict: give different keys to different arguments, and refuse objects that have no text of their own
    :param result: make a function that takes the result of the call before the arguments, for ``{result.id}``
    :param in_use: raise NoKeyError at a call that can have no key; otherwise its key is shown, with a warning
    :param answers: calls of one key answer each other: a template of strict keys has to name each parameter, and the
        object of a bound method is part of the default key, even if it has no text of its own
    :raises WrongKeyError: if the template does not fit the function
    """
    subject = subject_of(function)
    if not answers:
        subject = without_textless(subject, formatter.plain_text)
    head, rest = _template(subject, template, prefix, noself=noself)
    source = KeySource(function, subject, formatter, strict=strict, result=result, in_use=in_use)
    left_out = subject.owner if noself else None
    if template is not None:
        _check_parameters(subject, rest, left_out, whole=answers and strict and in_use)
        source.read(head, rest)
    else:
        source.read(head, rest, left_out)
    return source


def _template(subject: Subject, key: str | None, prefix: str, *, noself: bool) -> tuple[str, str]:
    """Return the template of the prefix and the function's name, and the template of the rest."""
    before = f"{prefix}:" if prefix else ""
    if key is not None:
        return before, key
    return before + _literal(subject.place), subject.fields({subject.owner} if noself else ())


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _check_parameters(subject: Subject, template: str, left_out: str | None, *, whole: bool) -> None:
    """Check that a user's template names the parameters that it should.

    :param left_out: the parameter that the user has told us to leave out
    :param whole: the template has to name each other parameter
    """
    fields = [part for part in parse_template(template, subject.name) if isinstance(part, Field)]
    named = {root for part in fields for root in part.roots}
    if left_out in named:
        raise WrongKeyError(subject.name, template, f"the key names {left_out!r}, which noself leaves out")
    if not whole:
        return
    parameters = subject.signature.parameters.values()
    missing = [one.name for one in parameters if named.isdisjoint({one.name, STARRED.get(one.kind, one.name)})]
    if missing := [name for name in missing if name != left_out]:
        reason = f"it leaves out {', '.join(missing)}; with strict_keys a key names every parameter"
        raise WrongKeyError(subject.name, template, reason)
