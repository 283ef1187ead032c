"""What the Hub's refusals and a bad line mean, in words that say what to do next."""

from __future__ import annotations

import re

from curation.errors import PublicationError

_FULL = re.compile(r"storage|quota|exceed|payment|upgrade your plan", re.I)
_STATUS = re.compile(r"\((\d{3}) [A-Z][a-z]|\b(\d{3}) (?:Client|Server) Error")
_SECRET = re.compile(r"hf_\w+|Bearer \S+")
_KEPT = "what was sent is kept, and the same command goes on from there"


class HubError(PublicationError):
    """A request failed; `transient` tells whether asking again may help, `status` is HTTP's."""

    def __init__(
        self, text: str, *, transient: bool = False, wait_s: float | None = None, status: int = 0
    ) -> None:
        super().__init__(text)
        self.transient, self.wait_s, self.status = transient, wait_s, status


def hub_failure(error: BaseException, doing: str) -> HubError:
    """Return what an exception of the Hub's clients means for the work named `doing`."""
    error = _cause(error)
    status, said = _status(error), _said(error)
    if _is_offline(error):
        return HubError(f"{doing}: the Hub was not asked, as HF_HUB_OFFLINE is set. Next: unset it")
    if status == 0 and not _is_connection(error):
        return HubError(f"{doing}: {type(error).__name__}: {said}")
    if status == 0:
        return HubError(
            f"{doing}: the connection failed again and again ({said}). Next: look at the network "
            f"and run the same command again; {_KEPT}",
            transient=True,
        )  # fmt: skip
    text, transient = _meaning(status, said)
    return HubError(
        f"{doing}: {text}", transient=transient, wait_s=_retry_after(error), status=status
    )


def _meaning(status: int, said: str) -> tuple[str, bool]:
    if status == 401:
        return (
            "the Hub does not accept the token: it is missing, wrong or expired. Next: "
            f"`hf auth login` or set HF_TOKEN, then run the same command again; {_KEPT}"
        ), False
    if status in (402, 413, 507) or (status == 403 and _FULL.search(said)):
        return (
            f"the quota of the account is full ({said}). Next: free space or enlarge the quota, "
            f"then run the same command again; {_KEPT}"
        ), False
    if status == 403:
        return (
            f"the token has no right to do this ({said}). Next: take a token that may write to "
            "that organisation: `hf auth login` or HF_TOKEN"
        ), False
    if status == 404:
        return (
            f"it is not there, or the token may not see it ({said}). Next: look at the name, and "
            "at whose token it is: `hf auth whoami`"
        ), False
    if status in (408, 409, 425, 429) or status >= 500:
        word = {409: "is at odds with another change", 429: "asks to slow down"}
        return (
            f"the Hub {word.get(status, 'is in trouble')} and went on so ({status}, {said}). "
            f"Next: run the same command again later; {_KEPT}"
        ), True
    return f"the Hub refused it ({status}, {said})", False


def _cause(error: BaseException) -> BaseException:
    """Return the first of what led to an exception that a status can be told of."""
    found: BaseException | None = error
    while found is not None and not _status(found) and not _is_connection(found):
        found = found.__cause__
    return found or error


def _status(error: BaseException) -> int:
    response = getattr(error, "response", None)
    if response is not None and getattr(response, "status_code", None):
        return int(response.status_code)
    # hf_xet tells of a status in words only.
    match = _STATUS.search(str(error))
    return int(match[1] or match[2]) if match else 0


def _said(error: BaseException) -> str:
    text = getattr(error, "server_message", None) or str(error) or type(error).__name__
    return _SECRET.sub("…", " ".join(str(text).split()))[:200].rstrip(".")


def _is_connection(error: BaseException) -> bool:
    # By name: the HTTP library under huggingface_hub is no dependency of this project.
    names = {base.__name__ for base in type(error).__mro__}
    return bool(names & {"TransportError", "ConnectionError", "TimeoutError"})


def _is_offline(error: BaseException) -> bool:
    return type(error).__name__ == "OfflineModeIsEnabled"


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        return float(headers.get("retry-after", ""))
    except ValueError:
        return None
