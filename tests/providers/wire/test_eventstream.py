"""Amazon's event stream, held against Amazon's own reader where it is installed."""

from __future__ import annotations

import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.providers.errors import MalformedResponse
from callboard.providers.wire import eventstream

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
frames = st.lists(st.tuples(st.binary(max_size=60), st.dictionaries(names, names, max_size=3)), min_size=1, max_size=4)


@given(frames, st.data())
def test_frames_parse_however_they_are_cut(sent: list[tuple[bytes, dict[str, str]]], data: st.DataObject) -> None:
    stream = b"".join(eventstream.frame(payload, headers) for payload, headers in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parser = eventstream.Parser()
    seen = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for frame in parser.feed(stream[start:end])
    ]
    assert [(frame.payload, dict(frame.headers)) for frame in seen] == sent


@given(frames)
def test_amazons_own_reader_reads_the_same(sent: list[tuple[bytes, dict[str, str]]]) -> None:
    reader = pytest.importorskip("botocore.eventstream").EventStreamBuffer()
    for payload, headers in sent:
        reader.add_data(eventstream.frame(payload, headers))
    assert [(event.payload, event.headers) for event in reader] == sent


def test_headers_that_are_no_texts_are_passed_over() -> None:
    # A boolean, a byte, a 64-bit time and bytes before the text: types 0, 2, 8 and 6.
    others = b"\x01a\x00" + b"\x01b\x02\x07" + b"\x01c\x08" + bytes(8) + b"\x01d\x06\x00\x02hi"
    text = b"\x01e\x07\x00\x02ok"
    plain = eventstream.frame(b"x", {})
    head = others + text
    prelude = struct.pack("!II", len(plain) + len(head), len(head))
    start = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + b"x"
    (frame,) = eventstream.Parser().feed(start + struct.pack("!I", zlib.crc32(start)))
    assert (frame.headers, frame.payload) == ({"e": "ok"}, b"x")


@given(st.data())
def test_a_flipped_bit_is_never_read_as_a_frame(data: st.DataObject) -> None:
    whole = eventstream.frame(json.dumps({"bytes": "aGk="}).encode(), {":event-type": "chunk"})
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    damaged = bytearray(whole)
    damaged[place // 8] ^= 1 << (place % 8)
    with pytest.raises(MalformedResponse, match=r"checksum|length"):
        list(eventstream.Parser("p").feed(bytes(damaged)))
