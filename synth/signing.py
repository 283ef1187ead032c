"""C2PA signatures of drawn images: who vouches for it that they are synthetic.

An extra, never the only mark: any program that saves the image again drops the signature, and to
trust one takes a certificate that others trust. Nothing is asked of a network: no time stamp.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from curation.errors import GeneratorError

from .provenance import SOURCE_TYPE

_MANIFEST = {
    "claim_generator_info": [{"name": "smearkit"}],
    "assertions": [
        {
            "label": "c2pa.actions.v2",
            "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}]},
        }
    ],
}
_SETTINGS = {
    # A thumbnail would be as large as the cell.
    "builder": {"thumbnail": {"enabled": False}},
    # Whether others trust the certificate is theirs to say.
    "verify": {"verify_after_sign": False},
}
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True, slots=True)
class ImageSigner:
    """Signs encoded images; `certificate` is the SHA-256 of the file of certificates."""

    certificate: str
    sign: Callable[[bytes], bytes]


def load_signer(certificates: Path, key: Path) -> ImageSigner:
    """Return a signer by a PEM file of certificates, the signer's first, and its PEM private key.

    Raises: GeneratorError where the extra is not installed, or the files cannot be used.
    """
    try:
        import c2pa
    except ImportError as error:
        raise GeneratorError(
            "signing needs the package c2pa-python. Next: install smearkit[c2pa], or leave --sign "
            "out (every cell is marked as synthetic without it)"
        ) from error
    try:
        chain, private = certificates.read_bytes(), key.read_bytes()
        info = c2pa.C2paSignerInfo(
            alg=_algorithm(private).encode(), sign_cert=chain, private_key=private, ta_url=None
        )
        signer = c2pa.Signer.from_info(info)
    # Not chained: what a library says of a key may repeat a part of it.
    except (OSError, ValueError, TypeError, c2pa.C2paError) as error:
        raise GeneratorError(
            f"{certificates} and {key} cannot be signed with ({type(error).__name__}). Next: give "
            "PEM files: the certificates, the signer's own first, then its private key without a "
            "password"
        ) from None
    context = c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))

    def sign(data: bytes) -> bytes:
        out = io.BytesIO()
        kind = "image/jpeg" if data[:2] == b"\xff\xd8" else "image/png"
        try:
            c2pa.Builder.from_json(json.dumps(_MANIFEST), context).sign(
                signer, kind, io.BytesIO(data), out
            )
        except c2pa.C2paError as error:
            raise GeneratorError(
                f"an image could not be signed ({type(error).__name__}). Next: see that the "
                f"certificate in {certificates} is valid now, is one for signing, and fits the key"
            ) from None
        return out.getvalue()

    return ImageSigner(sha256(chain).hexdigest(), sign)


def split_signature(data: bytes) -> tuple[bytes, bytes]:
    """Return a JPEG or PNG without the C2PA manifest that signing put in, and that manifest.

    It is empty where there is none at that place; what stands elsewhere stays in the image.
    """
    found, start = b"", 2
    if data[:2] == b"\xff\xd8":
        # One too long for a segment goes on in the next.
        while data[start : start + 2] == b"\xff\xeb" and data[start + 4 : start + 6] == b"JP":
            end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
            found, start = found + data[start + 4 : end], end
        return data[:2] + data[start:], found
    if data[37:41] == b"caBX":
        end = 33 + 12 + int.from_bytes(data[33:37])
        return data[:33] + data[end:], data[41 : end - 4]
    return data, b""


def _algorithm(private: bytes) -> str:
    """Return the name of the algorithm that a private key signs with.

    Raises: ValueError for a kind of key that C2PA does not know.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key: Any = load_pem_private_key(private, password=None)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise ValueError("a key of no kind that C2PA knows")
