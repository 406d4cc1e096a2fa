"""Opens the vectors of docs/spec/fields-v1.md with nothing of keyfold's: written from the two pages of the specification.

    python3 fields.py fields-v1.json

Prints how many fields, refusals and paths were right; ends with an error at the first that is not.
"""

import base64
import hashlib
import hmac
import json
import math
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MESSAGE_LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
SEALED_CHUNK = 16_400


class Refused(Exception):
    pass


def lp(data):
    return struct.pack(">H", len(data)) + data


def expand(key, info, length):
    first = hmac.digest(key, info + b"\1", hashlib.sha512)
    return (first + hmac.digest(key, first + info + b"\2", hashlib.sha512))[:length]


def encode_context(context):
    pairs = sorted((key.encode(), value.encode()) for key, value in context.items())
    return struct.pack(">H", len(pairs)) + b"".join(lp(key) + lp(value) for key, value in pairs)


def open_envelope(text, case, context):
    prefix, encoded = text[:4], text[4:]
    assert prefix == "kf1."
    envelope = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    assert envelope[:3] == b"KF\1"
    wraps = 2 + struct.unpack(">H", envelope[36:38])[0] if envelope[3] == 1 else 0
    aad, nonce, sealed_dek = envelope[: 36 + wraps], envelope[36 + wraps : 48 + wraps], envelope[48 + wraps : 96 + wraps]
    kdk, project, scope = bytes.fromhex(case["kdk"]), lp(case["project"].encode()), lp(case["scope"].encode())
    assert envelope[4:20] == expand(kdk, b"keyfold/1/kdk-id\0" + project, 16)
    kek = expand(kdk, b"keyfold/1/kek\0" + envelope[20:36] + project + scope, 32)
    dek = AESGCM(kek).decrypt(nonce, sealed_dek, aad)
    return dek, envelope[: 96 + wraps], open_message(dek, envelope[96 + wraps :], context)


def open_message(dek, message, context):
    salt, commitment, chunks = message[:24], message[24:56], message[56:]
    okm = expand(dek, MESSAGE_LABEL + salt + context, 76)
    if not hmac.compare_digest(okm[44:], commitment):
        raise Refused("ERR_CONTEXT_MISMATCH")
    plaintext = b""
    for index in range(len(chunks) // SEALED_CHUNK + 1):
        counter = (int.from_bytes(okm[32:44], "big") ^ index).to_bytes(12, "big")
        chunk = chunks[index * SEALED_CHUNK : (index + 1) * SEALED_CHUNK]
        plaintext += AESGCM(okm[:32]).decrypt(counter, chunk, None)
    return plaintext


def decode(encoded):
    """The type and the value as the vectors write it."""
    if not encoded:
        raise Refused("ERR_FIELD")
    kind, rest = encoded[0], encoded[1:]
    try:
        if kind == 0 and rest == b"":
            return "null", None
        if kind == 1 and rest in (b"\0", b"\1"):
            return "boolean", rest == b"\1"
        if kind == 2 and len(rest) == 8:
            number = struct.unpack(">d", rest)[0]
            if not math.isnan(number) or rest == bytes.fromhex("7ff8000000000000"):
                return "number", number
        if kind == 3 and rest:
            number = int.from_bytes(rest, "big", signed=True)
            if len(rest) == (number if number >= 0 else ~number).bit_length() // 8 + 1:
                return "bigint", str(number)
        if kind == 4:
            return "string", rest.decode("utf-8")
        if kind == 5:
            return "bytes", rest.hex()
        if kind == 6 and len(rest) == 8:
            time = int.from_bytes(rest, "big", signed=True)
            if abs(time) <= 8_640_000_000_000_000:
                return "date", time
        if kind == 7:
            text = rest.decode("utf-8")
            if isinstance(json.loads(text), (dict, list)):
                return "json", text
    except (UnicodeDecodeError, json.JSONDecodeError):
        pass
    raise Refused("ERR_FIELD")


def is_same(kind, value, shown):
    if kind != "number":
        return value == shown
    wanted = float(shown)
    return struct.pack(">d", value) == struct.pack(">d", wanted) or (math.isnan(value) and math.isnan(wanted))


def path_of(place):
    path = ""
    for step in place:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            key = "".join("\\" + c if c in "\\.[]?" else c for c in step)
            path += ("." if path else "") + key
    return path


def check_record(record):
    for field in record["fields"]:
        context = encode_context({**record["context"], "keyfold:field": field["path"]})
        assert context.hex() == field["encodedContext"], field["path"]
        dek, header, encoded = open_envelope(field["envelope"], record, context)
        assert (dek.hex(), header.hex()) == (record["dek"], record["header"]), field["path"]
        assert encoded.hex() == field["encoded"], field["path"]
        kind, value = decode(encoded)
        assert kind == field["type"] and is_same(kind, value, field["value"]), field["path"]
    return len(record["fields"])


def check_refusal(case):
    context = encode_context({**case["context"], "keyfold:field": case["path"]})
    try:
        decode(open_envelope(case["envelope"], case, context)[2])
    except Refused as refusal:
        assert str(refusal) == case["code"], case["name"]
    except InvalidTag:
        raise AssertionError(case["name"]) from None
    else:
        raise AssertionError(f"{case['name']}: it opened")


with open(sys.argv[1], encoding="utf-8") as file:
    vectors = json.load(file)
fields = sum(check_record(record) for record in vectors["records"])
for case in vectors["invalid"]:
    check_refusal(case)
for path in vectors["paths"]:
    assert path_of(path["place"]) == path["path"], path["path"]
print(json.dumps({"fields": fields, "refusals": len(vectors["invalid"]), "paths": len(vectors["paths"])}))
