"""Invented persons, numbers, days and devices; each is given out once, so a find tells its place.

No word of them occurs in a released corpus by chance: names are long and of no language's words,
numbers have eight digits.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count, product

_HEADS = (
    "Ägid", "Brüx", "Czerń", "Dröm", "Eßlin", "Fjäll", "Grønv", "Hájk", "Íñig", "Jäsk", "Köpp",
    "Łukow", "Müß", "Nyström", "Øster", "Přib", "Quöll", "Rúnar", "Štěp", "Tôrv", "Überr", "Værø",
    "Wędrow", "Yngvë", "Žižk", "Bølgen", "Düppel", "Fürchteg", "Gößw", "Hødn", "Ísaf", "Jülz",
    "Kæmp", "Løvst", "Mörw", "Nêmc", "Ößw", "Pých", "Rångl", "Sørl",
)  # fmt: skip
_TAILS = (
    "enhofer", "istein", "owska", "qvist", "mannsdorff", "aberger", "opoulos", "idzé", "thaler",
    "enkovic", "ürrenmatt", "åkessen", "ovaara", "brügger", "ziewicz", "schläger", "andersdatter",
    "echtermeyer", "grabenwöger", "haupteufel", "ipsilanti", "jørgsson", "kuzmanic", "lautenbach",
    "mitternacht", "niedereder", "obermoser", "pfefferkorn", "quadflieg", "rautenberg",
)  # fmt: skip
_GIVEN = ("Änne", "Björk", "Çiğdem", "Đorđe", "Émile", "Renée", "Gülşen", "Zoë", "Jürgen")
_EASTERN = ("山田太郎衛門", "佐々木花子姫", "欧阳修明远", "司馬遼太朗", "김민준서연", "이서윤지호")
# A step prime to the range gives every number of eight digits once, in no order.
_STEP, _FIRST, _NUMBERS = 38_501_299, 20_477_313, 90_000_000
_FIRST_FAR_DAY = date(2101, 1, 2)
_FIRST_DAY, _DAYS, _DAY_STEP = date(1931, 1, 2), 25_000, 7_919


class Invented:
    """Gives out invented values, the same ones in the same order for the same start."""

    def __init__(self, start: int = 0) -> None:
        self._numbers = count(start)
        self._days = count(start)
        self._far_days = count(start)
        self._names = _names()
        for _ in range(start):
            next(self._names)

    def name(self) -> str:
        """Return a person's name, "family, given", or one in Chinese, Japanese or Korean."""
        return next(self._names)

    def latin_name(self) -> str:
        """Return a name whose letters are all in ISO 8859-1."""
        while True:
            name = next(self._names)
            if all(ord(letter) < 256 for letter in name):
                return name

    def plain_name(self) -> str:
        """Return a name in ASCII, for carriers that know no other letters."""
        while True:
            split = unicodedata.normalize("NFKD", next(self._names).replace("ß", "ss"))
            plain = split.encode("ascii", "ignore").decode()
            if len(plain) > 9:
                return f"{plain} {self._digits()[:4]}"

    def number(self) -> str:
        """Return a record number."""
        return f"MRN-{self._digits()}"

    def accession(self) -> str:
        """Return an accession number."""
        return f"H24-{self._digits()}"

    def serial(self) -> str:
        """Return a device's serial number."""
        return f"DMX-{self._digits()}"

    def phone(self) -> str:
        """Return a telephone number."""
        return f"+49 555 {self._digits()}"

    def address(self) -> str:
        """Return an address."""
        street = next(self._names).split(",")[0]
        return f"{street}straße {int(self._digits()) % 90 + 1}, Q{self._digits()}"

    def email(self) -> str:
        """Return an e-mail address."""
        return f"{self.plain_name().replace(', ', '.').replace(' ', '')}@klinikum.example".lower()

    def day(self) -> date:
        """Return a day between 1931 and 1999."""
        return _FIRST_DAY + timedelta(days=next(self._days) * _DAY_STEP % _DAYS)

    def far_day(self) -> date:
        """Return a day from 2101 on, 800 days from any other such day.

        Moved by up to a year, it falls on no day that is given out.
        """
        return _FIRST_FAR_DAY + timedelta(days=next(self._far_days) * 800)

    def uid(self) -> str:
        """Return a DICOM UID."""
        return f"1.2.826.0.1.3680043.9.{self._digits()}.{self._digits()}"

    def _digits(self) -> str:
        return str(10_000_000 + (_FIRST + next(self._numbers) * _STEP) % _NUMBERS)


def _names() -> Iterator[str]:
    """Yield every name once; one in eight is an eastern one."""
    # All families before the second given name: a family alone is looked for, too.
    western = (f"{head}{tail}, {given}" for given, tail, head in product(_GIVEN, _TAILS, _HEADS))
    eastern = (f"{name}{number}号" for number, name in product(range(100, 1000), _EASTERN))
    for number, name in enumerate(western):
        yield next(eastern) if number % 8 == 5 else name
