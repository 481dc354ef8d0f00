"""Makes and reads Headwater's compact tokens; docs/tokens.md describes them."""
import base64, hashlib, hmac, struct

CONTEXT = b"headwater token\n"


def issue(secret: bytes, key_id: str, claims: dict) -> str:
    """claims: {tag: text, or number of seconds for 7 and 8, or of lines for 5}"""
    signed = bytes([1, len(key_id)]) + key_id.encode()
    for tag, value in sorted(claims.items()):
        if isinstance(value, int):
            value = struct.pack(">I" if tag == 5 else ">Q", value)
        else:
            value = value.encode()
        signed += struct.pack(">BH", tag, len(value)) + value
    mac = hmac.new(secret, CONTEXT + signed, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(signed + mac).rstrip(b"=").decode()


def verify(secret: bytes, token: str) -> dict:
    """{tag: bytes} of a token that this secret signed; ValueError for any other."""
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    signed, mac = data[:-32], data[-32:]
    if not hmac.compare_digest(mac, hmac.new(secret, CONTEXT + signed, hashlib.sha256).digest()):
        raise ValueError("signature")
    claims, at = {}, 2 + signed[1]
    while at < len(signed):
        tag, length = struct.unpack_from(">BH", signed, at)
        claims[tag] = signed[at + 3 : at + 3 + length]
        at += 3 + length
    return claims
