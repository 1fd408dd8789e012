"""The tables of a journal in PostgreSQL, and the function that writes a batch.

The tables can be read with plain SQL: ``SELECT type, data->>'amount' FROM callboard.events WHERE stream = 'a'``.
Data and metadata are `json`, which keeps text as it was written; `jsonb` takes neither ``\\u0000`` nor half of a
surrogate pair. Names compare by code point (`COLLATE "C"`), whatever the database's locale.

A batch is one call of one function, in a transaction of its own:

- All that a client has to say is on the server before the first lock is taken. A client that is stopped (SIGSTOP) or
  cut off in the middle of a batch holds up nobody else.
- The function first takes an advisory lock, so writers come one after the other, and what has a lower position is
  committed before what has a higher one. Without that, a subscriber that has seen position 8 misses a 7 that is
  committed later (372 of 2,772 events under 6 writers with rollbacks).
- Each statement that writes to a stream says which owner, epoch and version it expects.
- What came of a batch is kept under its writer's name and the batch's number until that writer's next batch. A batch
  whose outcome was not learned, because the connection was lost, can be sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import JournalUnavailable
from .tables import Tables

if TYPE_CHECKING:
    from psycopg import Connection

VERSION: Final = 1
"""Of the tables and the function."""

TABLES: Final = """
CREATE TABLE {s}.journal (
    version int NOT NULL,               -- of these tables
    epochs bigint NOT NULL DEFAULT 0    -- the highest epoch of any stream that was deleted
);

CREATE TABLE {s}.workers (
    id text COLLATE "C" PRIMARY KEY,
    until timestamptz NOT NULL          -- the end of its lease, by this server's clock
);

CREATE TABLE {s}.streams (
    name text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL,
    owner text COLLATE "C" NOT NULL DEFAULT '',
    unfinished boolean NOT NULL DEFAULT false,
    labels jsonb NOT NULL DEFAULT '{}',
    damaged text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 80);               -- room for the next version of a row beside it
CREATE INDEX streams_unfinished ON {s}.streams (name) WHERE unfinished;
CREATE INDEX streams_owner ON {s}.streams (owner) WHERE owner <> '';

CREATE TABLE {s}.events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    type text NOT NULL,
    schema int NOT NULL,
    data json NOT NULL,
    metadata json NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (stream, version)
);

CREATE TABLE {s}.snapshots (
    stream text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    type text NOT NULL,
    schema int NOT NULL,
    data json NOT NULL,
    metadata json NOT NULL
);

CREATE TABLE {s}.keys (
    key text COLLATE "C" PRIMARY KEY,
    stream text COLLATE "C" NOT NULL
);
CREATE INDEX keys_stream ON {s}.keys (stream);

CREATE TABLE {s}.posts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream text COLLATE "C" NOT NULL,
    type text NOT NULL,
    schema int NOT NULL,
    data json NOT NULL,
    metadata json NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX posts_stream ON {s}.posts (stream);

CREATE TABLE {s}.batches (
    writer text PRIMARY KEY,
    number bigint NOT NULL,
    results text[] NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO {s}.journal (version) VALUES ({version});
"""

FUNCTIONS: Final = """
CREATE FUNCTION {s}.seconds_left(worker text) RETURNS float8 LANGUAGE sql STABLE AS $$
    -- Seconds until a worker's lease ends; null where it has ended.
    SELECT extract(epoch FROM w.until - clock_timestamp())::float8
    FROM {s}.workers w WHERE w.id = $1 AND w.until > clock_timestamp()
$$;

CREATE FUNCTION {s}.erase(p_streams text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_epochs bigint;
    v_count bigint;
BEGIN
    DELETE FROM {s}.events WHERE stream = ANY (p_streams);
    DELETE FROM {s}.snapshots WHERE stream = ANY (p_streams);
    DELETE FROM {s}.keys WHERE stream = ANY (p_streams);
    DELETE FROM {s}.posts WHERE stream = ANY (p_streams);
    WITH gone AS (DELETE FROM {s}.streams WHERE name = ANY (p_streams) RETURNING epoch)
    SELECT count(*), max(epoch) INTO v_count, v_epochs FROM gone;
    -- A stream of the same name that begins later has a higher epoch: handles on the old one stay fenced.
    UPDATE {s}.journal SET epochs = v_epochs WHERE epochs < v_epochs;
    RETURN v_count;
END
$$;

CREATE FUNCTION {s}.write(
    p_lock bigint, p_channel text, p_writer text, p_number bigint,
    -- for each item of the batch
    p_kind text[], p_stream text[], p_owner text[], p_epoch bigint[], p_version bigint[],
    p_size int[], p_unfinished boolean[], p_labels text[], p_keys text[], p_drop text[], p_taken text[],
    -- for each event, snapshot or post, in the order of the items
    p_type text[], p_schema int[], p_data text[], p_metadata text[]
) RETURNS text[] LANGUAGE plpgsql AS $$
-- Answers for each item: a number, an array of what Acquire is answered with, or an object that names an error.
DECLARE
    r text[] := '{}';
    e int := 0;             -- the events that earlier items have used
    n int;
    v bigint;
    k record;
    s record;
    v_names text[];
    v_last bigint;
    v_events boolean := false;
    v_posts boolean := false;
BEGIN
    PERFORM pg_advisory_xact_lock(p_lock);
    SELECT b.number, b.results INTO k FROM {s}.batches b WHERE b.writer = p_writer;
    IF FOUND AND k.number = p_number THEN
        RETURN k.results;
    ELSIF FOUND AND k.number > p_number THEN
        RAISE EXCEPTION 'batch % comes after batch %', p_number, k.number;
    END IF;

    FOR i IN 1 .. cardinality(p_kind) LOOP
        n := p_size[i];
        CASE p_kind[i]
        WHEN 'append' THEN
            k := NULL;
            IF p_keys[i] IS NOT NULL THEN
                SELECT t.key, t.stream INTO k
                FROM jsonb_array_elements_text(p_keys[i]::jsonb) WITH ORDINALITY w (key, place)
                JOIN {s}.keys t ON t.key = w.key
                WHERE t.stream <> p_stream[i]
                ORDER BY w.place LIMIT 1;
            END IF;
            v := NULL;
            IF k IS NOT NULL THEN
                PERFORM FROM {s}.streams t WHERE t.name = p_stream[i]
                    AND t.owner = p_owner[i] AND t.epoch = p_epoch[i] AND t.version = p_version[i];
                IF FOUND THEN
                    r[i] := json_build_object('error', 'key', 'key', k.key, 'stream', k.stream)::text;
                    e := e + n;
                    CONTINUE;
                END IF;
            ELSIF p_owner[i] <> '' THEN
                UPDATE {s}.streams t SET
                    version = t.version + n,
                    unfinished = coalesce(p_unfinished[i], t.unfinished),
                    labels = CASE WHEN p_labels[i] IS NULL THEN t.labels ELSE t.labels || p_labels[i]::jsonb END,
                    updated_at = CASE WHEN n = 0 THEN t.updated_at ELSE clock_timestamp() END
                WHERE t.name = p_stream[i]
                    AND t.owner = p_owner[i] AND t.epoch = p_epoch[i] AND t.version = p_version[i]
                RETURNING t.version INTO v;
            ELSE
                -- Nobody's from here on: an owner whose lease has ended finds out.
                UPDATE {s}.streams t SET
                    version = t.version + n,
                    owner = '',
                    updated_at = CASE WHEN n = 0 THEN t.updated_at ELSE clock_timestamp() END
                WHERE t.name = p_stream[i]
                    AND (t.owner = '' OR {s}.seconds_left(t.owner) IS NULL)
                    AND (p_version[i] IS NULL OR t.version = p_version[i])
                RETURNING t.version INTO v;
                IF v IS NULL AND coalesce(p_version[i], 0) = 0 THEN
                    IF n > 0 THEN
                        INSERT INTO {s}.streams (name, version, epoch) SELECT p_stream[i], n, epochs FROM {s}.journal
                        ON CONFLICT DO NOTHING RETURNING version INTO v;
                    ELSIF NOT EXISTS (SELECT FROM {s}.streams t WHERE t.name = p_stream[i]) THEN
                        v := 0;
                    END IF;
                END IF;
            END IF;
            IF v IS NOT NULL THEN
                FOR j IN e + 1 .. e + n LOOP
                    INSERT INTO {s}.events (stream, version, type, schema, data, metadata)
                    VALUES (p_stream[i], v - n + j - e, p_type[j], p_schema[j], p_data[j]::json, p_metadata[j]::json);
                END LOOP;
                v_events := v_events OR n > 0;
                IF p_drop[i] IS NOT NULL THEN
                    SELECT array_agg(name) INTO v_names FROM jsonb_array_elements_text(p_drop[i]::jsonb) d (name)
                    WHERE name <> p_stream[i];
                    PERFORM {s}.erase(v_names);
                END IF;
                IF p_keys[i] IS NOT NULL THEN
                    INSERT INTO {s}.keys (key, stream)
                    SELECT key, p_stream[i] FROM jsonb_array_elements_text(p_keys[i]::jsonb) w (key)
                    ON CONFLICT DO NOTHING;
                END IF;
                IF p_taken[i] IS NOT NULL THEN
                    DELETE FROM {s}.posts
                    WHERE id IN (SELECT w.id::bigint FROM jsonb_array_elements_text(p_taken[i]::jsonb) w (id));
                END IF;
                r[i] := v::text;
            ELSE
                SELECT t.version, t.epoch, t.owner, {s}.seconds_left(t.owner) AS seconds INTO s
                FROM {s}.streams t WHERE t.name = p_stream[i];
                r[i] := CASE
                    WHEN p_owner[i] = '' AND s.seconds IS NOT NULL
                    THEN json_build_object('error', 'owned', 'owner', s.owner, 'seconds', s.seconds)
                    WHEN p_owner[i] <> '' AND (s.owner IS DISTINCT FROM p_owner[i] OR s.epoch <> p_epoch[i])
                    THEN json_build_object('error', 'fenced')
                    ELSE json_build_object('error', 'conflict', 'actual', coalesce(s.version, 0))
                END::text;
            END IF;
            e := e + n;

        WHEN 'acquire' THEN
            SELECT
                coalesce((SELECT t.version FROM {s}.streams t WHERE t.name = p_stream[i]), 0) AS version,
                coalesce((SELECT max(t.version) FROM {s}.events t WHERE t.stream = p_stream[i]), 0) AS last
            INTO s;
            IF s.version <> s.last THEN
                r[i] := json_build_object('error', 'header', 'version', s.version, 'last', s.last)::text;
                CONTINUE;
            END IF;
            INSERT INTO {s}.streams AS t (name, epoch, owner)
            SELECT p_stream[i], CASE p_epoch[i] WHEN 0 THEN epochs + 1 ELSE p_epoch[i] END, p_owner[i] FROM {s}.journal
            ON CONFLICT (name) DO UPDATE SET epoch = t.epoch + 1, owner = excluded.owner
            WHERE t.owner IN ('', excluded.owner) OR {s}.seconds_left(t.owner) IS NULL
            RETURNING t.version, t.epoch INTO s;
            IF FOUND THEN
                SELECT t.version INTO v FROM {s}.snapshots t WHERE t.stream = p_stream[i];
                r[i] := json_build_array(s.version, s.epoch, coalesce(v, 0))::text;
            ELSE
                SELECT t.owner, {s}.seconds_left(t.owner) AS seconds INTO s
                FROM {s}.streams t WHERE t.name = p_stream[i];
                r[i] := json_build_object('error', 'owned', 'owner', s.owner, 'seconds', coalesce(s.seconds, 0))::text;
            END IF;
            v_posts := true;    -- those for this stream may be for somebody else now

        WHEN 'snapshot' THEN
            e := e + 1;
            INSERT INTO {s}.snapshots AS t (stream, version, type, schema, data, metadata)
            SELECT p_stream[i], p_version[i], p_type[e], p_schema[e], p_data[e]::json, p_metadata[e]::json
            FROM {s}.streams o
            WHERE o.name = p_stream[i] AND o.owner = p_owner[i] AND o.epoch = p_epoch[i] AND o.version >= p_version[i]
            ON CONFLICT (stream) DO UPDATE SET version = excluded.version, type = excluded.type,
                schema = excluded.schema, data = excluded.data, metadata = excluded.metadata;
            r[i] := CASE WHEN FOUND THEN NULL ELSE json_build_object('error', 'fenced')::text END;

        WHEN 'release' THEN
            UPDATE {s}.streams t SET owner = ''
            WHERE t.name = p_stream[i] AND t.owner = p_owner[i] AND t.epoch = p_epoch[i];
            -- One that was looked at only leaves nothing behind.
            IF FOUND THEN
                DELETE FROM {s}.streams t
                WHERE t.name = p_stream[i] AND t.version = 0 AND NOT t.unfinished AND t.labels = '{}'
                    AND NOT EXISTS (SELECT FROM {s}.keys w WHERE w.stream = t.name)
                RETURNING t.epoch INTO v;
                IF FOUND THEN
                    UPDATE {s}.journal SET epochs = v WHERE epochs < v;
                END IF;
                v_posts := true;
            END IF;
            r[i] := NULL;

        WHEN 'delete' THEN
            SELECT array_agg(name) INTO v_names FROM jsonb_array_elements_text(p_drop[i]::jsonb) d (name);
            PERFORM {s}.erase(v_names);
            r[i] := NULL;

        WHEN 'leave' THEN
            e := e + 1;
            INSERT INTO {s}.posts (stream, type, schema, data, metadata)
            VALUES (p_stream[i], p_type[e], p_schema[e], p_data[e]::json, p_metadata[e]::json);
            v_posts := true;
            r[i] := NULL;

        WHEN 'discard' THEN
            DELETE FROM {s}.posts
            WHERE id IN (SELECT w.id::bigint FROM jsonb_array_elements_text(p_taken[i]::jsonb) w (id));
            r[i] := NULL;

        WHEN 'prune' THEN
            SELECT array_agg(name) INTO v_names FROM (
                SELECT t.name FROM {s}.streams t
                WHERE NOT t.unfinished AND t.damaged = ''
                    AND NOT EXISTS (SELECT FROM {s}.workers w WHERE w.id = t.owner AND w.until > clock_timestamp())
                    AND clock_timestamp() - t.updated_at >= make_interval(secs => (CASE
                        WHEN t.labels->>'ephemeral' = '1' THEN p_labels[i]::jsonb->>'ephemeral'
                        ELSE p_labels[i]::jsonb->>'finished' END)::float8)
                LIMIT n
            ) gone;
            r[i] := {s}.erase(v_names)::text;
        END CASE;
    END LOOP;

    INSERT INTO {s}.batches AS t (writer, number, results) VALUES (p_writer, p_number, r)
    ON CONFLICT (writer) DO UPDATE SET number = excluded.number, results = excluded.results, at = excluded.at;
    IF v_events THEN
        PERFORM pg_notify(p_channel, 'events');
    END IF;
    IF v_posts THEN
        PERFORM pg_notify(p_channel, 'posts');
    END IF;
    RETURN r;
END
$$;
"""


class JournalTables(Tables):
    """A journal's.

    Attributes:
        channel: on which writers say that something has been committed.
    """

    what = "journal"
    version = VERSION
    known_by = ("events", "journal", "streams")
    made_by = TABLES + FUNCTIONS
    refused = JournalUnavailable

    def __init__(self, schema: str) -> None:
        super().__init__(schema)
        self.channel = "callboard_" + self._digest[:16].hex()

    def prepare(self, connection: Connection[Any]) -> None:
        """See `Tables.prepare`; and delete what came of the last batch of writers that are no more."""
        super().prepare(connection)
        connection.execute(self.script("DELETE FROM {s}.batches WHERE at < clock_timestamp() - interval '7 days'"))
        connection.execute(self.script("DELETE FROM {s}.workers WHERE until < clock_timestamp() - interval '1 day'"))
