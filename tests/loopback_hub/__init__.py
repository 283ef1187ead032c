"""A Hub on loopback for tests: real git repositories, LFS and Xet, which the true clients accept.

git_repo   one bare repository: commits, pull requests (squashed on merge, as on the Hub), tags
store      large files: LFS objects, and Xet's own store, which the client fills by `local://`
accounts   tokens and roles; gated and private repositories
faults     statuses, dropped connections and calls at a chosen or at the n-th request
server     the server in a thread; `python -m tests.loopback_hub` runs it as a process
clients    `use_hub`: points the clients of this process at a Hub

Xet is real up to the wire: the client is told that its store is a local folder, so that it chunks,
deduplicates and packs as ever; only what it would send by HTTP is written there. Without Xet
(HF_HUB_DISABLE_XET=1) the bytes come by LFS and are counted object by object.
"""

from .accounts import Account
from .clients import use_hub
from .faults import Fault
from .server import READ_TOKEN, STRANGER, TOKEN, LoopbackHub, client_environment

__all__ = [
    "READ_TOKEN", "STRANGER", "TOKEN", "Account", "Fault", "LoopbackHub", "client_environment",
    "use_hub",
]  # fmt: skip
