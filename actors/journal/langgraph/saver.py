"""`JournalSaver`."""

from __future__ import annotations

import random
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from ..errors import CheckpointConflict
from ..store import Journal
from .steps import Steps, awaited, waited
from .thread import EMPTY, Address, Event, Saved, Thread, writes_event
from .threads import Threads

NAMED: Final = "__callboard_named"
"""In a configuration: the checkpoint that was asked for by its id. LangGraph passes it on to what is put next."""


Value: TypeAlias = list[Any]
"""Channel, version, form and base64."""


class JournalSaver(BaseCheckpointSaver[str]):
    """Keeps the threads of LangGraph's graphs in a journal, one stream each.

    For graphs that are awaited and graphs that are not, from any thread and any number of event loops and processes.
    The journal's codec must know plain JSON values, as `JsonCodec` does. The journal is not closed with it.

    Two runs that go on from the same checkpoint do not fork the thread: a checkpoint whose parent is not the latest of
    its namespace any more is refused with `CheckpointConflict`. It is taken all the same where the fork is on purpose:
    the parent was asked for by its id (time travel: a run, or an update of the state, whose configuration names a
    ``checkpoint_id``), or LangGraph itself calls it a fork. From there on the new branch is the latest, and who still
    is on the old one is refused.

    Args:
        journal: where they are kept.
        serde: LangGraph's own, unless another one is given.
    """

    def __init__(self, journal: Journal, *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serde)
        self._threads = Threads(journal)

    # -- LangGraph's methods -----------------------------------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that is named, or the latest one of its namespace."""
        return waited(self._get(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `get_tuple`."""
        return await awaited(self._get(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Those that fit, of each thread the newest first.

        Args:
            config: names a thread, and may name a namespace and a checkpoint; None for all threads.
            filter: what their metadata must say.
            before: names a checkpoint; only those with smaller ids.
            limit: how many at most.
        """
        found = (
            item
            for thread in waited(self._names(config))
            for item in self._matching(waited(self._threads.load(thread)), config, filter, before)
        )
        return islice(found, limit)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """See `list`."""
        left = limit
        for thread in await awaited(self._names(config)):
            for item in islice(self._matching(await awaited(self._threads.load(thread)), config, filter, before), left):
                yield item
                left = None if left is None else left - 1

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint, whose parent ``config`` names.

        Raises:
            CheckpointConflict: somebody else has gone on from its parent.
        """
        return waited(self._put(config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `put`."""
        return await awaited(self._put(config, checkpoint, metadata, new_versions))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task has written at the checkpoint that ``config`` names."""
        waited(self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See `put_writes`."""
        await awaited(self._put_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """Delete a thread."""
        waited(self._threads.delete(str(thread_id)))

    async def adelete_thread(self, thread_id: str) -> None:
        """See `delete_thread`."""
        await awaited(self._threads.delete(str(thread_id)))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that these runs have put, with their writes. Every thread is read for it."""
        waited(self._delete_for_runs(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See `delete_for_runs`."""
        await awaited(self._delete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread.

        Raises:
            StreamConflict: there is something in the target.
        """
        waited(self._threads.copy(str(source_thread_id), str(target_thread_id)))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See `copy_thread`."""
        await awaited(self._threads.copy(str(source_thread_id), str(target_thread_id)))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete older checkpoints.

        Args:
            thread_ids: of which threads.
            strategy: ``keep_latest`` keeps the latest one of each namespace, and those before it that its delta
                channels need; ``delete`` keeps nothing.
        """
        waited(self._prune(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See `prune`."""
        await awaited(self._prune(thread_ids, strategy))

    def get_next_version(self, current: str | int | float | None, channel: None) -> str:
        """A channel's next version; two branches of a thread do not come to the same one."""
        number = int(str(current).split(".")[0]) if current is not None else 0
        return f"{number + 1:032}.{random.random():016}"

    # -- reading -----------------------------------------------------------------------------------------------------

    def _names(self, config: RunnableConfig | None) -> Steps[Sequence[str]]:
        return [_thread(config)] if config is not None else (yield from self._threads.names())

    def _get(self, config: RunnableConfig) -> Steps[CheckpointTuple | None]:
        there = yield from self._threads.load(_thread(config))
        ns, named = _ns(config), get_checkpoint_id(config)
        with there.lock:
            saved = there.find(ns, named) if named else there.latest(ns)
        return None if saved is None else self._tuple(there, saved, bool(named))

    def _matching(
        self,
        there: Thread,
        config: RunnableConfig | None,
        filter: Mapping[str, Any] | None,
        before: RunnableConfig | None,
    ) -> Iterator[CheckpointTuple]:
        ns = config["configurable"].get("checkpoint_ns") if config else None
        named = get_checkpoint_id(config) if config else None
        end = get_checkpoint_id(before) if before else None
        with there.lock:
            newest_first = reversed(there.all())
        for saved in newest_first:
            if (
                (ns is None or saved.event["ns"] == ns)
                and (not named or saved.event["id"] == named)
                and (not end or saved.event["id"] < end)
                and (not filter or self._says(saved, filter))
            ):
                yield self._tuple(there, saved, True)

    def _says(self, saved: Saved, filter: Mapping[str, Any]) -> bool:
        metadata = self._loads(*saved.event["metadata"])
        return all(metadata.get(key) == value for key, value in filter.items())

    def _tuple(self, there: Thread, saved: Saved, named: bool) -> CheckpointTuple:
        ns, checkpoint_id = saved.address
        checkpoint = self._loads(*saved.event["checkpoint"])
        with there.lock:
            values = [*there.values(ns, checkpoint["channel_versions"])]
            pending = there.pending(saved)
        pending.sort(key=lambda each: writes_sort_key(each[2].path, each[0], each[1]))
        checkpoint["channel_values"] = {
            channel: self._loads(form, text) for channel, _, form, text in values if form != EMPTY
        }
        config = _config(there.name, ns, checkpoint_id)
        if named:
            config["configurable"][NAMED] = checkpoint_id
        return CheckpointTuple(
            config=config,
            checkpoint=checkpoint,
            metadata=self._loads(*saved.event["metadata"]),
            parent_config=_config(there.name, ns, saved.parent) if saved.parent else None,
            pending_writes=[(task, write.channel, self._loads(write.form, write.text)) for task, _, write in pending],
        )

    # -- writing -----------------------------------------------------------------------------------------------------

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Steps[RunnableConfig]:
        thread, ns, parent = _thread(config), _ns(config), get_checkpoint_id(config) or None
        bare: dict[str, Any] = {**checkpoint}
        values: dict[str, Any] = bare.pop("channel_values")
        versions = {**checkpoint["channel_versions"], **new_versions}
        said: Any = get_checkpoint_metadata(config, metadata)
        run = said.get("run_id")
        event: Event = {
            "langgraph": "checkpoint",
            "ns": ns,
            "id": checkpoint["id"],
            "parent": parent,
            "run": run if isinstance(run, str) else None,
            "checkpoint": [*self._dumps(bare)],
            "metadata": [*self._dumps(said)],
            "values": [self._value(channel, version, values) for channel, version in new_versions.items()],
        }
        on_purpose = _is_on_purpose(config, metadata, parent)

        def make(there: Thread) -> Event:
            if not on_purpose:
                _check_parent(there, event)
            # The other values are there already, unless they come from another saver.
            more = [
                self._value(channel, versions[channel], values)
                for channel in values.keys() & versions.keys() - new_versions.keys()
                if (ns, channel, versions[channel]) not in there.blobs
            ]
            return {**event, "values": event["values"] + more} if more else event

        yield from self._threads.put(thread, make)
        return _config(thread, ns, checkpoint["id"])

    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task: str, path: str
    ) -> Steps[None]:
        listed = [
            [WRITES_IDX_MAP.get(channel, index), channel, *self._dumps(value)]
            for index, (channel, value) in enumerate(writes)
        ]
        event = writes_event(_ns(config), config["configurable"]["checkpoint_id"], task, path, listed)
        yield from self._threads.write(_thread(config), event)

    def _delete_for_runs(self, runs: Sequence[str]) -> Steps[None]:
        gone = {str(run) for run in runs}

        def keep(there: Thread) -> set[Address]:
            return {saved.address for saved in there.all() if saved.event["run"] not in gone}

        if gone:
            for thread in (yield from self._threads.names()):
                yield from self._threads.shorten(thread, keep, self._versions)

    def _prune(self, threads: Sequence[str], strategy: str) -> Steps[None]:
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategy is {strategy!r}: it must be keep_latest or delete")
        for thread in map(str, threads):
            if strategy == "delete":
                yield from self._threads.delete(thread)
            else:
                yield from self._threads.shorten(thread, self._latest_ones, self._versions)

    def _latest_ones(self, there: Thread) -> set[Address]:
        """The latest checkpoint of each namespace, and those before it that its delta channels are made of."""
        kept: set[Address] = set()
        for ns in there.saved:
            saved = there.latest(ns)
            missing: set[str] = set()
            if saved is not None:
                missing.update(self._loads(*saved.event["metadata"]).get("counters_since_delta_snapshot") or ())
            while saved is not None:
                kept.add(saved.address)
                values = there.values(ns, self._versions(saved))
                missing.difference_update([channel for channel, _, form, _ in values if form != EMPTY])
                saved = there.find(ns, saved.parent) if missing and saved.parent else None
        return kept

    # -- as text -----------------------------------------------------------------------------------------------------

    def _dumps(self, value: Any) -> tuple[str, str]:
        form, data = self.serde.dumps_typed(value)
        return form, b64encode(data).decode("ascii")

    def _loads(self, form: str, text: str) -> Any:
        return self.serde.loads_typed((form, b64decode(text)))

    def _value(self, channel: str, version: Any, values: Mapping[str, Any]) -> Value:
        kept = self._dumps(values[channel]) if channel in values else (EMPTY, "")
        return [channel, version, *kept]

    def _versions(self, saved: Saved) -> Mapping[str, Any]:
        versions: Mapping[str, Any] = self._loads(*saved.event["checkpoint"])["channel_versions"]
        return versions


def _thread(config: RunnableConfig) -> str:
    return str(config["configurable"]["thread_id"])


def _ns(config: RunnableConfig) -> str:
    ns: str = config["configurable"].get("checkpoint_ns", "")
    return ns


def _config(thread: str, ns: str, checkpoint: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": checkpoint}}


def _is_on_purpose(config: RunnableConfig, metadata: CheckpointMetadata, parent: str | None) -> bool:
    """Whether a checkpoint may begin a new branch."""
    configurable = config["configurable"]
    if metadata.get("source") == "fork":
        return True
    if parent is not None:
        return bool(configurable.get(NAMED) == parent)
    if configurable.get("__pregel_replay_state") is not None:  # a graph within one that travels in time
        return True
    # Without a parent a run, or an update of the state, has found an empty thread. Other callers know what they do.
    by_a_run = any(key.startswith("__pregel_") for key in configurable)
    return not (by_a_run or metadata.get("source") == "update" or metadata.get("step", 0) < 0)


def _check_parent(there: Thread, event: Event) -> None:
    """Nothing, if a checkpoint is built on its thread's latest one, or is put once more."""
    ns, checkpoint, parent = event["ns"], event["id"], event["parent"]
    latest = there.latest(ns)
    if latest is None or latest.event["id"] == parent:
        return
    earlier = there.find(ns, checkpoint)
    if earlier is not None and earlier.parent == parent:
        return
    built = f"was built on {parent}" if parent is not None else "is a first one"
    message = f"the checkpoint {checkpoint} of {there.name} {built}; the latest one is {latest.event['id']} by now"
    raise CheckpointConflict(message, there.stream, parent, latest.event["id"])
