"""The model card of a generator, its results in the Hub's evaluation format, and its repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import yaml

from curation.errors import GeneratorError
from curation.output import refuse_existing, whole_directory, write_whole
from curation.vocabulary import CELL_TYPES
from synth.generator import GeneratorInfo, read_info
from synth.measure.measurement import ALL_CLASSES, Measurement, Measurements

from .card_templates import card_environment
from .checksums import write_checksums
from .hub_license import license_head, license_url
from .license_terms import split_licenses

RESULTS_FOLDER = ".eval_results"
_TAGS = ["biology", "medical", "blood-smear", "haematology", "synthetic-data", "diffusion"]
# What a run leaves in a generator folder and its users have no need of.
_LEFT_OUT = ("checkpoint*", "logs", "*.tmp", ".*")


def render_model_card(
    generator: Path,
    measurements: Measurements | None = None,
    *,
    repository: str | None = None,
    dataset: str | None = None,
    source: str | None = None,
) -> str:
    """Return the README.md of a generator's repository.

    `repository` is ORG/NAME of the model and `dataset` that of the real cells it learned from;
    `source` is what the cells are called.

    Raises: GeneratorError where the folder is no generator, or the measurements are of another.
    """
    info = read_info(generator)
    _refuse_other(info, measurements)
    ontology = {cell.name: cell.cl for cell in CELL_TYPES}
    license_id = info.license or "unknown"
    found = () if measurements is None else measurements.measurements
    body = card_environment().get_template("model_card.md.j2").render(
        info=info, measurements=measurements, repository=repository, dataset=dataset,
        source=source, ontology=ontology, license=license_id, licenses=split_licenses(license_id),
        license_url=license_url, name=_name(repository, info),
        pooled=[one for one in found if one.label == ALL_CLASSES],
        by_class=[one for one in found if one.label != ALL_CLASSES],
        sheet=_sheet(generator),
    )  # fmt: skip
    head = {
        **license_head(license_id),
        "library_name": "diffusers",
        "pipeline_tag": "unconditional-image-generation",
        "tags": _TAGS,
        **({"datasets": [dataset]} if dataset else {}),
    }
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{text}---\n\n{body.rstrip()}\n"


def eval_results(
    measurements: Measurements, dataset: str, *, revision: str | None = None,
    date: str | None = None,
) -> str:  # fmt: skip
    """Return the text of `.eval_results/NAME.yaml`: each measurement over all classes.

    `dataset` is ORG/NAME of the real cells that they were measured against, at `revision`.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = [
        EvalResultEntry(
            dataset_id=dataset, task_id=_task(one), value=one.value, dataset_revision=revision,
            date=date, notes=_notes(one),
        )
        for one in measurements.measurements
        if one.label == ALL_CLASSES
    ]  # fmt: skip
    values = eval_result_entries_to_yaml(entries)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def write_model_repo(
    generator: Path,
    out: Path,
    measurements: Measurements | None = None,
    *,
    repository: str | None = None,
    dataset: str | None = None,
    revision: str | None = None,
    source: str | None = None,
    date: str | None = None,
) -> Path:
    """Write what is published of a generator: its folder, the card, its results, checksums.

    `DiffusionPipeline.from_pretrained(out, trust_remote_code=True)` loads it without smearkit.
    Results are written where the dataset they were measured against is known by name.

    Raises: GeneratorError; OutputExistsError.
    """
    refuse_existing(out)
    info = read_info(generator)
    card = render_model_card(
        generator, measurements, repository=repository, dataset=dataset, source=source
    )
    job = {"stage": "model", "generator": info.fingerprint, "repository": repository}
    with whole_directory(out, job) as partial:
        for entry in sorted(generator.iterdir()):
            if not any(entry.match(pattern) for pattern in _LEFT_OUT):
                _copy(entry, partial / entry.name)
        _complete_code(partial)
        write_whole(partial / "README.md", card.encode())
        if measurements is not None and dataset is not None:
            folder = partial / RESULTS_FOLDER
            folder.mkdir(exist_ok=True)
            text = eval_results(measurements, dataset, revision=revision, date=date)
            write_whole(folder / f"{dataset.partition('/')[2]}.yaml", text.encode())
        # The note of the job goes when the folder is whole.
        write_checksums(partial, leave_out=("job",))
    return out


def _complete_code(folder: Path) -> None:
    """Add the code that diffusers loads; the generator in the package has it in the package."""
    from synth import conditioner, pipeline, sigma_space

    modules = {"pipeline.py": pipeline, "conditioner/conditioner.py": conditioner}
    unet = json.loads((folder / "model_index.json").read_bytes())["unet"]
    if unet[0] == "sigma_space":
        modules["unet/sigma_space.py"] = sigma_space
    for name, module in modules.items():
        if not (folder / name).is_file():
            shutil.copyfile(str(module.__file__), folder / name)


def _copy(entry: Path, target: Path) -> None:
    if entry.is_dir():
        shutil.copytree(
            entry, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    else:
        shutil.copyfile(entry, target)


def _refuse_other(info: GeneratorInfo, measurements: Measurements | None) -> None:
    if measurements is not None and measurements.generator != info.fingerprint:
        raise GeneratorError(
            f"the report measured generator {measurements.generator}, this one is "
            f"{info.fingerprint}. Next: run `smearkit evaluate` on cells that this one drew"
        )


def _name(repository: str | None, info: GeneratorInfo) -> str:
    return repository.partition("/")[2] if repository else f"generator-{info.fingerprint[:8]}"


def _sheet(generator: Path) -> str | None:
    """Return the last picture that the generator drew while it trained, if there is one."""
    looks = sorted((generator / "looks").glob("*.jpg")) if (generator / "looks").is_dir() else []
    return f"looks/{looks[-1].name}" if looks else None


def _task(one: Measurement) -> str:
    return one.name if one.arm is None else f"{one.name}_{one.arm}".replace(" ", "_")


def _notes(one: Measurement) -> str:
    said = [f"n={one.n_real} real, {one.n_synthetic} synthetic"]
    if one.low is not None and one.high is not None:
        said.append(f"95 % interval {one.low:.3g} to {one.high:.3g}")
    if one.floor is not None:
        said.append(f"floor {one.floor:.3g} (real against real)")
    if one.verdict != "no goal":
        said.append(f"goal {one.verdict}")
    if not one.reliable:
        said.append("not to be relied on at this n")
    return "; ".join(said)
