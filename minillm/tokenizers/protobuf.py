"""Read a field of a protobuf message, as which SentencePiece writes its models."""
from __future__ import annotations

SIZES = {1: 8, 5: 4}  # bytes of a double and of a float


def read_field(message: bytes, number: int) -> list[int | bytes]:
    """All values of a field, in order: whole numbers, or bytes (numbers with a point, text, or a message in itself).

    Raises ValueError where this is no message.  https://protobuf.dev/programming-guides/encoding
    """
    found: list[int | bytes] = []
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        if key & 7 == 0:
            value, place = _varint(message, place)
        else:
            size, place = _varint(message, place) if key & 7 == 2 else (SIZES.get(key & 7, len(message) + 1), place)
            if place + size > len(message):
                raise ValueError(f"field {key >> 3} takes {size} bytes, but {len(message) - place} are left")
            value, place = message[place:place + size], place + size
        if key >> 3 == number:
            found.append(value)
    return found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, the lowest first; and the place after it."""
    value = shift = 0
    for byte in message[place:place + 10]:
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place
    raise ValueError(f"byte {place} breaks off a number; is the file complete?")
