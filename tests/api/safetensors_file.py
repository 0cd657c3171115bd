"""Reads a safetensors file by the format's description: 8 bytes of little-endian header length, a JSON
header, then the tensors' bytes, without gaps or overlaps."""

import struct

import numpy

import rest_contract

TYPES = {"F32": "<f4", "F64": "<f8"}


def parse(content):
    """({name: array}, metadata), refusing whatever a strict reader would."""
    (length,) = struct.unpack("<Q", content[:8])
    assert 8 + length <= len(content)
    header = rest_contract.parse_json(content[8:8 + length].decode("utf-8"))
    data = content[8 + length:]
    metadata = header.pop("__metadata__", {})
    assert all(isinstance(value, str) for value in metadata.values())
    arrays, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        assert first == end, f"gap or overlap before {name}"
        array = numpy.frombuffer(data[first:last], dtype=TYPES[entry["dtype"]])
        arrays[name] = array.reshape(entry["shape"])
        end = last
    assert end == len(data)
    return arrays, metadata
