-- Transactions that do not wait for the disk are answered after another one has waited for it. That tells nothing about them when the server has crashed in between: it has forgotten them, and the
-- numbers of the sequences that they had, though readers may have seen both. A crash empties this table, as the takeover of a standby does; who finds it empty begins another life of the server.
create unlogged table server_lives (
    only_one boolean primary key default true check (only_one),
    life uuid not null default gen_random_uuid()
);
drop table pubsub_uncrashed;
-- Who begins a life sets them forward.
grant update on sequence pubsub_positions, queue_places to public;
