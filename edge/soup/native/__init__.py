"""The codec in C++: equal to `lockstep.edge.soup.codec` byte for byte."""

from lockstep.edge.soup.native._codec import SCHEMA as _COMPILED
from lockstep.edge.soup.native._codec import Codec, Instruments
from lockstep.stream.layouts import SCHEMA

if _COMPILED != SCHEMA:
    raise ImportError("the compiled codec is of another schema than this code: run `make setup`")

__all__ = ["Codec", "Instruments"]
