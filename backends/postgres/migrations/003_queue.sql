-- Who writes to the queues of a namespace holds its advisory lock until the end of the transaction, so that places are given in the order in which messages are seen.
create sequence queue_places;
-- Who may not use the schema cannot reach it.
grant usage on sequence queue_places to public;

-- state: 0 visible, 1 scheduled, 2 leased, 3 held back. due is when the state ends, null while it is 0.
create table queue_messages (
    namespace integer not null,
    id bigint not null,
    queue text collate "C" not null,
    state smallint not null,
    priority smallint not null,
    place bigint not null,
    due timestamptz,
    lease text collate "C",
    receives integer not null default 0,
    reason bytea,
    source text collate "C",
    source_reason bytea,
    source_receives integer,
    moved timestamptz,
    enqueued timestamptz not null,
    content bytea not null,
    primary key (namespace, id)
) with (
    -- A queue that is busy leaves dead rows at its front; they must go long before a fifth of the table is dead.
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.1, autovacuum_analyze_threshold = 1000
);
create index queue_messages_visible on queue_messages (namespace, queue, priority desc, place) where state = 0;
create index queue_messages_agenda on queue_messages (namespace, due, place) where state <> 0;
create index queue_messages_scheduled on queue_messages (namespace, queue) where state = 1;
create index queue_messages_letters on queue_messages (namespace, queue, place) where source is not null;

-- key is a digest of namespace, queue and idempotency key.
create table queue_keys (
    key bytea primary key,
    message bigint not null,
    due timestamptz,
    expires timestamptz not null
);
create index queue_keys_expires on queue_keys (expires);

create table queue_dead_letters (
    namespace integer not null,
    queue text collate "C" not null,
    dead_letter_queue text collate "C" not null,
    max_receives integer not null,
    primary key (namespace, queue)
);
