"""The exceptions of the whole project.

SmearkitError                the work was refused or failed with a named reason (exit status 1)
├── SourceError              what was given as a source cannot be used
│   └── UnknownLabelError    a label is outside the vocabulary
├── ImageError               one image cannot be used; `reason` is a drop reason
├── CorpusError              a corpus directory is not whole, or not readable by this version
├── OutputExistsError        something already stands at `--out`
├── HashIndexError           the hash index of a corpus is missing, or of another version
├── VaultError               the vault cannot be made or read
├── EngineError              a worker of the engine failed, or the engine cannot be used
├── PolicyError              the de-identification policy refuses, or cannot be read
├── GeneratorError           a generator folder cannot be used
│   └── TrainingPaused       training stopped where it was told to
├── MeasurementError         a measurement cannot be made from what was given
├── ReleaseRefusedError      a gate of the release did not pass
└── PublicationError         what was released could not be put where it should stand
"""

from __future__ import annotations


class SmearkitError(Exception):
    """The work was refused or failed with a named reason."""


class SourceError(SmearkitError):
    """What was given as a source cannot be used."""


class UnknownLabelError(SourceError):
    """A label is outside the vocabulary."""


class ImageError(SmearkitError):
    """One image cannot be used; `reason` is the drop reason it is counted under."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class CorpusError(SmearkitError):
    """A corpus directory is not whole, or not readable by this version."""


class OutputExistsError(SmearkitError):
    """Something already stands where the output should go."""


class HashIndexError(SmearkitError):
    """The hash index of a corpus is missing, not whole, or of another version."""


class VaultError(SmearkitError):
    """The vault cannot be made or read."""


class EngineError(SmearkitError):
    """A worker of the engine failed, or the engine cannot be used."""


class PolicyError(SmearkitError):
    """The de-identification policy refuses what it was given, or cannot be read."""


class GeneratorError(SmearkitError):
    """A generator folder cannot be used."""


class TrainingPaused(GeneratorError):  # noqa: N818
    """Training stopped where it was told to, `share` of the way; the same call goes on."""

    def __init__(self, text: str, *, images: int = 0, share: float = 0.0) -> None:
        super().__init__(text)
        self.images = images
        self.share = share


class MeasurementError(SmearkitError):
    """A measurement cannot be made from what was given."""


class ReleaseRefusedError(SmearkitError):
    """A gate of the release did not pass."""


class PublicationError(SmearkitError):
    """What was released could not be put where it should stand; the text says what stands now."""
