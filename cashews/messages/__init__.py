"""Messages: commands with their arguments, each typed by its reply.

They are in six rooms: `values`, `structures`, `locks`, `tags`, `keys` (many keys, patterns, the whole store) and
`transactions`. Each store serves a message in its own room of the same name.
"""

from __future__ import annotations

from typing import Any, Final, cast

from cashews.messages.keys import Clear as Clear
from cashews.messages.keys import DeleteMany as DeleteMany
from cashews.messages.keys import DeleteMatch as DeleteMatch
from cashews.messages.keys import GetKeysCount as GetKeysCount
from cashews.messages.keys import GetMany as GetMany
from cashews.messages.keys import GetMatch as GetMatch
from cashews.messages.keys import Ping as Ping
from cashews.messages.keys import RecallMany as RecallMany
from cashews.messages.keys import Scan as Scan
from cashews.messages.keys import SetMany as SetMany
from cashews.messages.loads import KnownTags as KnownTags
from cashews.messages.loads import LoadPermit as LoadPermit
from cashews.messages.loads import UnknownTags as UnknownTags
from cashews.messages.locks import HELD as HELD
from cashews.messages.locks import TRANSACTION as TRANSACTION
from cashews.messages.locks import UNCERTAIN as UNCERTAIN
from cashews.messages.locks import BreakLock as BreakLock
from cashews.messages.locks import ListLocks as ListLocks
from cashews.messages.locks import LockHolder as LockHolder
from cashews.messages.locks import LockPlace as LockPlace
from cashews.messages.locks import LockTimeLeft as LockTimeLeft
from cashews.messages.locks import RenewLock as RenewLock
from cashews.messages.locks import SetLock as SetLock
from cashews.messages.locks import Unlock as Unlock
from cashews.messages.locks import UnwatchLock as UnwatchLock
from cashews.messages.locks import WatchLock as WatchLock
from cashews.messages.message import ManyKeys as ManyKeys
from cashews.messages.message import Matching as Matching
from cashews.messages.message import Message as Message
from cashews.messages.message import OneKey as OneKey
from cashews.messages.message import Page as Page
from cashews.messages.message import Paged as Paged
from cashews.messages.message import WholeStore as WholeStore
from cashews.messages.message import public_fields as public_fields
from cashews.messages.structures import UNCOUNTED as UNCOUNTED
from cashews.messages.structures import Admit as Admit
from cashews.messages.structures import AdmitSlice as AdmitSlice
from cashews.messages.structures import CircuitRules as CircuitRules
from cashews.messages.structures import EnterCircuit as EnterCircuit
from cashews.messages.structures import GetBits as GetBits
from cashews.messages.structures import IncrBits as IncrBits
from cashews.messages.structures import Refusal as Refusal
from cashews.messages.structures import ReportCircuit as ReportCircuit
from cashews.messages.structures import SetAdd as SetAdd
from cashews.messages.structures import SetPop as SetPop
from cashews.messages.structures import SetRemove as SetRemove
from cashews.messages.structures import SliceIncr as SliceIncr
from cashews.messages.tags import BEFORE_ALL as BEFORE_ALL
from cashews.messages.tags import DeleteTags as DeleteTags
from cashews.messages.tags import GetKeyTags as GetKeyTags
from cashews.messages.tags import MarkLoad as MarkLoad
from cashews.messages.tags import SetTagged as SetTagged
from cashews.messages.tags import storing as storing
from cashews.messages.transactions import Commit as Commit
from cashews.messages.transactions import CommitOutcome as CommitOutcome
from cashews.messages.transactions import Peek as Peek
from cashews.messages.transactions import State as State
from cashews.messages.transactions import Write as Write
from cashews.messages.values import Cause as Cause
from cashews.messages.values import Delete as Delete
from cashews.messages.values import Exists as Exists
from cashews.messages.values import Expire as Expire
from cashews.messages.values import Get as Get
from cashews.messages.values import GetExpire as GetExpire
from cashews.messages.values import GetHit as GetHit
from cashews.messages.values import GetRaw as GetRaw
from cashews.messages.values import GetSize as GetSize
from cashews.messages.values import Incr as Incr
from cashews.messages.values import OnRemove as OnRemove
from cashews.messages.values import Recall as Recall
from cashews.messages.values import Set as Set
from cashews.messages.values import SetRaw as SetRaw

MESSAGES: Final[tuple[type[Message[Any]], ...]] = tuple(
    cast("type[Message[Any]]", kind)
    for kind in tuple(globals().values())
    if isinstance(kind, type) and "command" in dir(kind)
)
"""The type of every message."""
