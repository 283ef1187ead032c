from __future__ import annotations

import datetime
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from curation.codec import codec_of, encode
from curation.corpus import load_corpus, verify_corpus
from curation.errors import GeneratorError
from curation.manifest import Codec
from curation.pixels import decode_rgb, pixel_id
from synth.processes import Ranks
from synth.provenance import SOURCE_TYPE, Marker, fault_of_synthetic, marked
from synth.sample import sample
from synth.signing import load_signer, split_signature
from tests.made import FAST, Made, disc, jpeg

MARKER = Marker("a" * 32, "basophil", 3)
PIXELS = np.asarray(disc("basophil", 1))
JPEG = marked(encode(PIXELS, codec_of(jpeg(disc("basophil", 1)))), MARKER)
PNG = marked(encode(PIXELS, Codec(format="png")), MARKER)


def app11(body: bytes) -> bytes:
    return b"\xff\xeb" + (len(body) + 2).to_bytes(2) + body


@pytest.fixture
def signer_files(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of a made authority, with the authority's, and its key."""
    pytest.importorskip("c2pa", reason="the extra smearkit[c2pa] is not installed")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(text: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, text),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Made"),
            ]
        )

    def certificate(subject: str, own: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> bytes:
        start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
        uses = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        built = (
            x509.CertificateBuilder()
            .subject_name(name(subject)).issuer_name(name("Made authority"))
            .public_key(own.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36_500))
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, crl_sign=is_ca,
                              **uses), critical=True,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
                critical=False,
            )
        )  # fmt: skip
        if not is_ca:
            purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            built = built.add_extension(purpose, critical=False)
        made = built.sign(authority, hashes.SHA256())
        return bytes(made.public_bytes(serialization.Encoding.PEM))

    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    certificates, key = tmp_path / "certificates.pem", tmp_path / "key.pem"
    certificates.write_bytes(
        certificate("Made signer", own, is_ca=False)
        + certificate("Made authority", authority, is_ca=True)
    )
    key.write_bytes(
        own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificates, key


def test_signing_needs_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(GeneratorError, match=r"c2pa-python. Next: install smearkit\[c2pa\]"):
        load_signer(tmp_path, tmp_path)


def test_a_signature_can_be_taken_out() -> None:
    parts = app11(b"JP\x00\x01one") + app11(b"JP\x00\x01two")
    assert split_signature(JPEG[:2] + parts + JPEG[2:]) == (JPEG, b"JP\x00\x01oneJP\x00\x01two")
    other = JPEG[:2] + app11(b"HDR") + JPEG[2:]
    assert split_signature(other) == (other, b"")
    chunk = b"\x00\x00\x00\x03caBXone\x00\x00\x00\x00"
    assert split_signature(PNG[:33] + chunk + PNG[33:]) == (PNG, b"one")
    for plain in (JPEG, PNG):
        assert split_signature(plain) == (plain, b"")


@pytest.mark.parametrize("data", [JPEG, PNG], ids=["jpeg", "png"])
def test_another_reader_finds_a_valid_signature(
    signer_files: tuple[Path, Path], data: bytes
) -> None:
    import c2pa

    signed = load_signer(*signer_files).sign(data)
    bare, _ = split_signature(signed)
    assert bare == data, "nothing else was changed"
    assert fault_of_synthetic(bare, MARKER) is None
    assert 0 < len(signed) - len(data) < 5000
    kind = "image/jpeg" if data is JPEG else "image/png"
    with c2pa.Reader(kind, io.BytesIO(signed)) as reader:
        assert reader.get_validation_state() == "Valid"
        found = json.loads(reader.json())
    active = found["manifests"][found["active_manifest"]]
    action = active["assertions"][0]["data"]["actions"][0]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", SOURCE_TYPE)
    assert active["signature_info"]["common_name"] == "Made signer"
    place = signed.index(data[-200:-100])
    forged = signed[: place + 20] + bytes([signed[place + 20] ^ 1]) + signed[place + 21 :]
    with c2pa.Reader(kind, io.BytesIO(forged)) as reader:
        assert reader.get_validation_state() == "Invalid"


def test_a_corpus_of_signed_cells(
    made: Made, signer_files: tuple[Path, Path], tmp_path: Path
) -> None:
    plan = {"basophil": 2, "monocyte": 1}
    signer = load_signer(*signer_files)
    signed = sample(made.generator, plan, tmp_path / "signed", FAST, signer=signer, ranks=Ranks())
    plain = sample(made.generator, plan, tmp_path / "plain", FAST, ranks=Ranks())
    verify_corpus(load_corpus(signed.path))
    assert signed.fingerprint == plain.fingerprint, "the same pixels"
    assert signed.manifest.config["signer"] == signer.certificate
    assert plain.manifest.config["signer"] is None
    for one, other in zip(signed.images(), plain.images(), strict=True):
        assert split_signature(one)[0] == other
        assert split_signature(one)[1]
        assert pixel_id(decode_rgb(one)) == pixel_id(decode_rgb(other))


def test_files_that_cannot_be_signed_with(signer_files: tuple[Path, Path], tmp_path: Path) -> None:
    certificates, key = signer_files
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END PRIVATE KEY-----\n")
    for pair in ((certificates, broken), (certificates, tmp_path / "none"), (key, certificates)):
        with pytest.raises(GeneratorError, match="cannot be signed with .*give PEM files") as found:
            load_signer(*pair)
        assert "SECRET" not in str(found.value)
        assert found.value.__suppress_context__
