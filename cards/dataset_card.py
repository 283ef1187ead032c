"""The README.md of each dataset: the Hub's YAML head and the card."""

from __future__ import annotations

from typing import Any, Literal

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from curation.corpus import Corpus
from synth.select_config import RULES
from synth.selection_report import read_selection

from .facts import CardFacts

Kind = Literal["real", "synthetic"]


def render_card(facts: CardFacts, kind: Kind) -> str:
    """Return the README.md of the real or of the synthetic dataset."""
    corpus = facts.real if kind == "real" else facts.synthetic
    # A name missing from the facts must fail the card, not leave a gap in it.
    environment = Environment(
        loader=PackageLoader("cards"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["num"] = _number
    body = environment.get_template(f"{kind}_card.md.j2").render(
        facts=facts, corpus=corpus, selection=read_selection(corpus), rules=RULES
    )
    head = yaml.safe_dump(_metadata(facts, kind, corpus), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n{body}"


def _metadata(facts: CardFacts, kind: Kind, corpus: Corpus) -> dict[str, Any]:
    tags = ["blood-smear", "haematology", "microscopy", "white-blood-cells", "smearkit"]
    files = [
        {"split": split, "path": f"data/{split}-*.parquet"} for split in corpus.manifest.splits
    ]
    title = facts.name if kind == "real" else f"{facts.name} (synthetic)"
    return {
        "pretty_name": title,
        "license": facts.license,
        "task_categories": ["image-classification"],
        "size_categories": [facts.size_category(corpus)],
        "tags": [*tags, "synthetic"] if kind == "synthetic" else tags,
        "configs": [{"config_name": "default", "data_files": files}],
    }


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}g}"
