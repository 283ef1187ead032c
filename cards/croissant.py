"""`croissant.json`: a dataset in the Croissant 1.1 vocabulary of MLCommons, with its RAI terms.

Source: docs.mlcommons.org/croissant, the specifications 1.1 and RAI 1.0.
"""

from __future__ import annotations

import json
from typing import Any

from curation.vocabulary import CELL_TYPES

from .about import NOT_STATED
from .citation import citation_lines
from .column_texts import column_text
from .facts import CardFacts
from .hub_license import license_url
from .license_terms import split_licenses

CROISSANT_NAME = "croissant.json"
_FILES = "parquet-files"
_CELLS = "cells"
_TYPES = {"string": "sc:Text", "int64": "sc:Integer", "float64": "sc:Float"}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant_file(facts: CardFacts) -> str:
    """Return the text of `croissant.json`."""
    record = facts.record
    title = record.name if facts.is_real else f"{record.name} (synthetic)"
    what = "real blood cells from smears" if facts.is_real else "synthetic blood cells"
    values: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": title,
        "description": f"{facts.counts.rows} {what}, {len(facts.manifest.class_totals())} classes.",
        "version": record.version,
        "datePublished": record.date,
        "license": [license_url(one) for one in split_licenses(record.license)],
        "citeAs": citation_lines(record),
        "keywords": ["blood smear", "haematology", "microscopy", f"{record.kind} cells"],
        "creator": [_creator(one.full_name, one.name is None) for one in record.about.creators]
        or [_creator("The maintainers of the dataset", person=False)],
        **_url(facts),
        **_rai(facts),
        "distribution": [*_shards(facts), _file_set()],
        "recordSet": [_cells(facts), _labels(facts)],
    }  # fmt: skip
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _creator(name: str, person: bool) -> dict[str, str]:
    return {"@type": "sc:Person" if person else "sc:Organization", "name": name}


def _url(facts: CardFacts) -> dict[str, str]:
    record = facts.record
    if record.own_repository:
        return {"url": f"https://huggingface.co/datasets/{record.own_repository}"}
    return {"url": record.about.homepage} if record.about.homepage else {}


def _rai(facts: CardFacts) -> dict[str, Any]:
    """Return the RAI terms, and the marks of what is synthetic."""
    about = facts.record.about
    terms: dict[str, Any] = {
        "rai:dataCollection": about.collection or NOT_STATED,
        "rai:dataCollectionType": ["Others"] if facts.is_real else ["Software Collection"],
        "rai:dataPreprocessingProtocol": _preprocessing(facts),
        "rai:dataAnnotationProtocol": [about.labelling or NOT_STATED],
        "rai:dataBiases": _biases(facts),
        "rai:dataLimitations": _limitations(facts),
        "rai:dataUseCases": ["training of cell classifiers", "augmentation", "teaching"],
        "rai:dataSocialImpact": "Not for diagnosis, nor for any decision about a patient.",
        "rai:personalSensitiveInformation": _sensitive(facts),
        "rai:dataReleaseMaintenancePlan": about.maintenance or NOT_STATED,
        "rai:hasSyntheticData": not facts.is_real,
    }
    if not facts.is_real:
        terms["rai:dataAnnotationProtocol"] = ["The label is the class that was asked for."]
        terms["prov:wasGeneratedBy"] = {
            "@type": "prov:Activity",
            "prov:label": "drawn by a diffusion model",
            "prov:used": facts.measurements.training_corpus,
            "prov:wasAssociatedWith": facts.measurements.generator,
        }
    return terms


def _preprocessing(facts: CardFacts) -> list[str]:
    found = facts.manifest
    dropped = ", ".join(f"{reason} {count}" for reason, count in found.dropped.items()) or "none"
    word = "images came in" if facts.is_real else "cells were drawn"
    return [f"{found.n_in} {word}, {facts.counts.rows} are here; dropped: {dropped}."]


def _biases(facts: CardFacts) -> list[str]:
    found = facts.acquisitions
    if found is None:
        return ["Whether classes can be told by how their pictures were taken was not tested."]
    if not found.confounded:
        return ["No class is bound to one way of taking pictures."]
    return [f"Bound to one way of taking pictures: {', '.join(found.confounded)}."]


def _limitations(facts: CardFacts) -> list[str]:
    if not facts.is_real:
        return ["Synthetic: for training only, never for testing or as evidence."]
    found = facts.counts.per_subject
    if found is None:
        return ["Subjects are not known: cells of one may stand in several splits."]
    return [f"{found.subjects} subjects; other laboratories and stains need a test of their own."]


def _sensitive(facts: CardFacts) -> list[str]:
    if not facts.is_real:
        gates = {gate.name: gate.state for gate in facts.record.gates}
        all_cells = gates.get("no_copies") == "passed"
        searched = "searched for" if all_cells else "not searched for among all it learned from"
        return [f"No image shows a patient's cell; copies of training cells were {searched}."]
    return [
        "Pictures of patients' cells under keyed pseudonyms (HMAC-SHA256); metadata removed by an "
        "allow-list, burned-in text searched for. Pseudonymised data is personal data (GDPR)."
    ]


def _shards(facts: CardFacts) -> list[dict[str, Any]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": shard.path,
            "name": shard.path,
            "contentUrl": shard.path,
            "contentSize": f"{shard.bytes} B",
            "encodingFormat": "application/x-parquet",
            "sha256": shard.sha256,
        }
        for shard in facts.manifest.shards
    ]


def _file_set() -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _FILES,
        "name": _FILES,
        "description": "The shards of all splits.",
        "encodingFormat": "application/x-parquet",
        "includes": "data/*.parquet",
    }


def _cells(facts: CardFacts) -> dict[str, Any]:
    split = {
        "@type": "cr:Field",
        "@id": f"{_CELLS}/split",
        "name": f"{_CELLS}/split",
        "description": "train, validation or test",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": _FILES},
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": ".*data/(train|validation|test)-.+[.]parquet$"},
        },
    }
    fields = [_field(name, feature, facts) for name, feature in facts.features.items()]
    return {
        "@type": "cr:RecordSet",
        "@id": _CELLS,
        "name": _CELLS,
        "description": "One record is one cell.",
        "field": [split, *fields],
    }


def _field(name: str, feature: Any, facts: CardFacts) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": _FILES}, "extract": {"column": name}}
    if feature["_type"] == "Image":
        kind = "sc:ImageObject"
        source["transform"] = {"jsonPath": "bytes"}
    else:
        kind = "sc:Integer" if feature["_type"] == "ClassLabel" else _TYPES[feature["dtype"]]
    return {
        "@type": "cr:Field",
        "@id": f"{_CELLS}/{name}",
        "name": f"{_CELLS}/{name}",
        "description": column_text(name, facts.manifest.attributes),
        "dataType": kind,
        "source": source,
    }


def _labels(facts: CardFacts) -> dict[str, Any]:
    """Return what each label id means, with its Cell Ontology id where there is one."""
    names = facts.features["label"]["names"]
    assert isinstance(names, list), "a ClassLabel has names"
    ontology = {cell.name: cell.cl for cell in CELL_TYPES}
    columns = (("id", "sc:Integer"), ("name", "sc:Text"), ("cl", "sc:Text"))
    return {
        "@type": "cr:RecordSet",
        "@id": "labels",
        "name": "labels",
        "description": "What each value of cells/label means; cl is its Cell Ontology id.",
        "key": {"@id": "labels/id"},
        "field": [
            {"@type": "cr:Field", "@id": f"labels/{name}", "name": f"labels/{name}",
             "dataType": kind}
            for name, kind in columns
        ],
        "data": [
            {"labels/id": number, "labels/name": name, "labels/cl": ontology.get(name) or ""}
            for number, name in enumerate(names)
        ],
    }  # fmt: skip
