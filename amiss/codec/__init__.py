"""Learned compression with a real bitstream: images to a file and back, by whole numbers alone."""

from amiss.codec.stream import (
    MAGIC,
    Header,
    decode_codes,
    decode_images,
    encode_images,
    estimate,
    quantize,
    read_header,
)

__all__ = ["MAGIC", "Header", "decode_codes", "decode_images", "encode_images", "estimate", "quantize", "read_header"]
