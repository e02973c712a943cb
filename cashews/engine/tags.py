"""The tags that values carry because of their keys: `register_tag()`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cashews.exceptions import WrongTagError
from cashews.template import Field, parse_template


@dataclass(frozen=True, slots=True)
class TagRule:
    """A tag and the template of the keys that carry it; fields of the tag are filled from the key.

    A field is the shortest text up to the literal that follows it, the last one takes what is left. Matching is linear
    in the length of the key.
    """

    tag: tuple[str | Field, ...]
    key: tuple[str | Field, ...]

    def of(self, key: str) -> str | None:
        """Return the tag of a key, `None` if it is none of these keys."""
        fields = self._match(key)
        if fields is None:
            return None
        return "".join(part if isinstance(part, str) else fields[part.source] for part in self.tag)

    def _match(self, key: str) -> Mapping[str, str] | None:
        fields: dict[str, str] = {}
        at, pending = 0, None
        for number, part in enumerate(self.key, start=1):
            if isinstance(part, Field):
                pending = part.source
                continue
            found = len(key) - len(part) if number == len(self.key) else key.find(part, at)
            if found < at or not key.startswith(part, found) or (pending is None and found != at):
                return None
            if pending is not None and fields.setdefault(pending, key[at:found]) != key[at:found]:
                return None
            at, pending = found + len(part), None
        if pending is None:
            return fields if at == len(key) else None
        return fields if fields.setdefault(pending, key[at:]) == key[at:] else None


class TagRules:
    """The rules of one cache."""

    def __init__(self) -> None:
        self.rules: tuple[TagRule, ...] = ()

    def add(self, tag: str, key: str) -> None:
        """Have every value whose key fits a template carry a tag.

        :raises WrongKeyError: if a template is not understood
        :raises WrongTagError: if two fields of the key have nothing between them, or the
            tag has a field that the key has not
        """
        rule = TagRule(parse_template(tag, "a tag"), parse_template(key, "a tag"))
        known = {part.source for part in rule.key if isinstance(part, Field)}
        for part, after in zip(rule.key, rule.key[1:], strict=False):
            if isinstance(part, Field) and isinstance(after, Field):
                raise WrongTagError(tag, after.source, "no text in the key template tells it from the field before")
        for part in rule.tag:
            if isinstance(part, Field) and part.source not in known:
                raise WrongTagError(tag, part.source, "the key template has no such field")
        if rule not in self.rules:
            self.rules = (*self.rules, rule)

    def of(self, key: str) -> tuple[str, ...]:
        """Return the tags of a key."""
        return tuple([tag for rule in self.rules if (tag := rule.of(key)) is not None]) if self.rules else ()
