-- Who adds to what the topics of a namespace keep holds its advisory lock until the end of the transaction, so that nothing appears behind a reader.
create sequence pubsub_positions;
-- Who may not use the schema cannot reach it.
grant usage on sequence pubsub_positions to public;

-- ordered tells PublishOrdered from PublishPersistent: each has an order of its own.
create table pubsub_messages (
    namespace integer not null,
    topic text collate "C" not null,
    ordered boolean not null,
    position bigint not null,
    published timestamptz not null,
    content bytea not null,
    primary key (namespace, topic, ordered, position)
);
create index pubsub_messages_published on pubsub_messages (published, position);

-- How far retention has removed what a topic kept, and when the newest of it was published.
create table pubsub_removed (
    namespace integer not null,
    topic text collate "C" not null,
    ordered boolean not null,
    position bigint not null,
    published timestamptz not null,
    primary key (namespace, topic, ordered)
);

-- position is the last one that was given to a stream; timeout is in microseconds.
create table pubsub_subscriptions (
    id bigint generated always as identity primary key,
    namespace integer not null,
    topic text collate "C" not null,
    name text collate "C" not null,
    timeout bigint not null,
    position bigint not null,
    not_before timestamptz not null,
    missed boolean not null,
    unique (namespace, topic, name)
);

-- What was given to a stream and is not settled. sent counts the deliveries that are known of; from the deadline on it may be given to another stream.
create table pubsub_deliveries (
    subscription bigint not null references pubsub_subscriptions on delete cascade,
    position bigint not null,
    stream text collate "C" not null,
    deadline timestamptz not null,
    sent integer not null,
    primary key (subscription, position)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
create index pubsub_deliveries_deadline on pubsub_deliveries (subscription, deadline, position);
