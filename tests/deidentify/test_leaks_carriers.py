from __future__ import annotations

from pathlib import Path

import pytest

from curation.deidentify.leaks import scan_for_leaks
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


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.name)
def test_planted(tmp_path: Path, vault: Vault, carrier: Carrier) -> None:
    secrets = {f"{n}-{carrier.file}": secret for n, secret in enumerate((NAME, NUMBER))}
    folder = tmp_path / "published"
    folder.mkdir()
    for name, secret in secrets.items():
        (folder / name).write_bytes(carrier.plant(secret.encode()))
    scan = scan_for_leaks(folder, vault)
    for name, secret in secrets.items():
        carriers = [hit.carrier for hit in scan.hits if hit.file == name]
        assert any(carrier.says in found for found in carriers), (carriers, secret)
        assert secret.casefold() not in repr(scan).casefold()


def test_nothing_is_found_where_nothing_is(tmp_path: Path, vault: Vault) -> None:
    folder = tmp_path / "published"
    folder.mkdir()
    for number, carrier in enumerate(CARRIERS):
        (folder / f"{number}-{carrier.file}").write_bytes(carrier.plant(b"nothing at all"))
    scan = scan_for_leaks(folder, vault)
    assert (scan.hits, scan.possible, scan.not_searched) == ((), (), ())
    assert scan.files == len(CARRIERS)
