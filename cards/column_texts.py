"""What each column of a dataset means, in one line; for the card, Croissant and the JSON schema."""

from __future__ import annotations

from collections.abc import Sequence

from curation.cells import Attribute

_TEXTS: dict[str, str] = {
    "image": "the cell: JPEG or PNG bytes that hold pixels and, where synthetic, what they are",
    "image_id": "hash of the pixels with their shape and mode",
    "label": "cell type, a position in the vocabulary",
    "subject": "keyed pseudonym of the patient",
    "slide": "keyed pseudonym of the slide",
    "site": "keyed pseudonym of the laboratory",
    "origin": "real or synthetic",
    "source": "where a real cell came from",
    "license": "licence of a real cell, or of those that a synthetic one was learned from",
    "generator": "fingerprint of the model that drew a synthetic cell",
    "seed": "seed of its noise",
    "guidance": "weight of classifier-free guidance",
    "steps": "steps of the sampler",
    "training_corpus": "fingerprint of the corpus that the model learned from",
    "guidance_low": "noise level under which guidance is off",
    "guidance_high": "noise level above which guidance is off",
    "acquisition": "the way of taking pictures that it was asked to look like",
    "autoguidance": "fingerprint of the weaker model that guided",
    "label_probability": "how sure a classifier of real cells is of the label",
    "realism": "how near to real cells of its class, in features",
    "nearest_training": "correlation with the nearest training cell",
}


def column_text(name: str, attributes: Sequence[Attribute] = ()) -> str:
    """Return what a column means; one that a policy added says how it was made."""
    if name in _TEXTS:
        return _TEXTS[name]
    made = next((a.action for a in attributes if a.name == name), None)
    return "added by the policy" if made is None else f"added by the policy ({made})"
