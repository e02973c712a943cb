"""Models of pydantic and structs of msgspec as values of their own form, checked when they are read.

A value of an older class that does not fit the class of today is absent, and is loaded anew.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from cashews.exceptions import WrongArgumentError
from cashews.serialize import register_type
from cashews.serialize.optional import load

_ALLOWED = "a model of pydantic or a struct of msgspec"


def register_models(*models: type) -> None:
    """Store objects of these classes as JSON (pydantic) or MessagePack (msgspec), in every cache of the process.

    This applies to a model that is itself a cached value or result; a list of models is left to the codec.

    :raises WrongArgumentError: if one is neither a model of pydantic nor a struct of msgspec
    :raises MissingExtraError: if msgspec is not installed
    """
    for model in models:
        if callable(getattr(model, "model_validate_json", None)):
            register_type(model, _encode_model, partial(_decode_model, model))
        elif hasattr(model, "__struct_fields__"):
            msgpack = load("msgspec.msgpack", "msgpack")
            encoder, decoder = msgpack.Encoder(), msgpack.Decoder(model)
            register_type(model, partial(_encode_struct, encoder), partial(_decode_struct, decoder))
        else:
            raise WrongArgumentError("models", model, _ALLOWED)


async def _encode_model(value: Any, *_: object, **__: object) -> bytes:
    text: str = value.model_dump_json()
    return text.encode()


async def _decode_model(model: Any, payload: bytes, *_: object, **__: object) -> Any:
    return model.model_validate_json(payload)


async def _encode_struct(encoder: Any, value: Any, *_: object, **__: object) -> bytes:
    encoded: bytes = encoder.encode(value)
    return encoded


async def _decode_struct(decoder: Any, payload: bytes, *_: object, **__: object) -> Any:
    return decoder.decode(payload)
