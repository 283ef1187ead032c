from __future__ import annotations

from pathlib import Path

import pytest

from curation.deidentify.leaks import Scan, scan_for_leaks
from curation.deidentify.vault import Vault, open_vault, record_identifiers
from tests.deidentify.leaks_planted import CARRIERS, Carrier

NAME, NUMBER, DAY = "Quillfeather", "MRN-77304051", "1957-03-12"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    made = open_vault(tmp_path / "vault")
    known = [("column PatientName", f"{NAME}^Adalbert"), ("column mrn", NUMBER),
             ("column birth_date", DAY), ("subject", "Wu"), ("subject", NAME)]  # fmt: skip
    record_identifiers(made, known)
    return made


def scanned(tmp_path: Path, name: str, data: bytes, vault: Vault) -> Scan:
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / name).write_bytes(data)
    return scan_for_leaks(folder, vault)


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)
@pytest.mark.parametrize("secret", [NAME, NUMBER])
def test_planted(tmp_path: Path, vault: Vault, carrier: Carrier, secret: str) -> None:
    scan = scanned(tmp_path, carrier.file, carrier.plant(secret.encode()), vault)
    assert scan.hits, "not found"
    assert {hit.file for hit in scan.hits} == {carrier.file}
    assert any(carrier.says in hit.carrier for hit in scan.hits), scan.hits
    assert secret.casefold() not in repr(scan).casefold()


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)
def test_clean(tmp_path: Path, vault: Vault, carrier: Carrier) -> None:
    scan = scanned(tmp_path, carrier.file, carrier.plant(b"nothing at all"), vault)
    assert (scan.hits, scan.possible, scan.not_searched) == ((), (), ())
    assert scan.clean
