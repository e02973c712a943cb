"""Serialisation: values to bytes and back, through a codec, a compression and a signature.

Everything is pure and synchronous, except for types with an encoder and decoder of the user's, which are awaited.
"""

from cashews.exceptions import DecodeError as DecodeError
from cashews.exceptions import EncodeError as EncodeError
from cashews.serialize.custom import Custom as Custom
from cashews.serialize.custom import Pending as Pending
from cashews.serialize.custom import custom_of as custom_of
from cashews.serialize.custom import register_type as register_type
from cashews.serialize.forms import HITS as HITS
from cashews.serialize.forms import HITS_PREFIX as HITS_PREFIX
from cashews.serialize.forms import HITS_SIZE as HITS_SIZE
from cashews.serialize.forms import next_hits as next_hits
from cashews.serialize.options import SerializerOptions as SerializerOptions
from cashews.serialize.serializer import Serializer as Serializer
