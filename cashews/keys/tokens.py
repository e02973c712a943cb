"""The template function `jwt`: a field of a JSON web token, read as it is, or verified first."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Protocol, cast

from cashews._dataclass import dataclass
from cashews.exceptions import MissingExtraError, WrongArgumentError, WrongTokenError


class _Decoder(Protocol):
    """The part of PyJWT that is used."""

    def decode(self, jwt: str, key: Any, algorithms: list[str], options: Any) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class _Verifier:
    decoder: _Decoder
    key: Any
    algorithms: tuple[str, ...]

    def __call__(self, token: str, field: str) -> dict[str, Any]:
        try:
            # The audience is the business of the function, which knows it.
            return self.decoder.decode(token, self.key, list(self.algorithms), {"verify_aud": False})
        except Exception as error:  # noqa: BLE001  a key may be of any kind, and so may its error
            # The original exceptions may quote the token, so they are not chained.
            reason = f"it does not verify ({type(error).__name__})"
        raise WrongTokenError(field, reason)


class Tokens:
    """Reads a field of a token: `{token:jwt(sub)}` does not verify it, `{token:jwt(sub, key=name)}` does.

    The keys have names, so that no template holds a secret.
    """

    def __init__(self) -> None:
        self._verifiers: dict[str, _Verifier] = {}

    def register(self, name: str, key: Any, algorithms: Iterable[str]) -> None:
        """Give a name to a key that verifies tokens.

        :raises MissingExtraError: if PyJWT is not installed
        :raises WrongArgumentError: if no algorithm is given, or the name is no identifier
        """
        accepted = (algorithms,) if isinstance(algorithms, str) else tuple(algorithms)
        if not name.isidentifier():
            raise WrongArgumentError("name", name, "identifiers")
        if not accepted or "none" in accepted:
            raise WrongArgumentError("algorithms", accepted, "the names of algorithms that sign, such as ['HS256']")
        try:
            from jwt import PyJWT  # noqa: PLC0415  an extra
        except ImportError as error:
            raise MissingExtraError("pyjwt", "jwt") from error
        self._verifiers[name] = _Verifier(PyJWT(), key, accepted)

    def __call__(self, token: str, field: str, key: str | None = None) -> object:
        fields = _payload(token, field) if key is None else self._verifiers[key](token, field)
        try:
            return fields[field]
        except KeyError:
            raise WrongTokenError(field, "its payload has no such field") from None

    def check(self, field: str, key: str | None = None) -> None:
        """Check the arguments of a template.

        :raises ValueError: if no key has the name
        """
        if key is not None and key not in self._verifiers:
            known = ", ".join(sorted(self._verifiers)) or "none"
            message = f"no key {key!r} for {field!r}; keys that default_formatter.register_jwt_key() has named: {known}"
            raise ValueError(message)


def _payload(token: str, field: str) -> dict[str, Any]:
    fields: Any = None
    try:
        _, payload, _ = token.split(".")
        from json import loads  # noqa: PLC0415  most programs have no tokens in their keys

        fields = loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, TypeError, RecursionError):
        pass  # the original exceptions quote the token, so they are not chained
    if type(fields) is not dict:
        raise WrongTokenError(field, "not three parts with a JSON object in the middle")
    return cast("dict[str, Any]", fields)
