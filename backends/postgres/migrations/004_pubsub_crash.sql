-- Readers are shown messages before they are on the disk, and a crash takes those back, with the numbers of the sequence that they had. It empties this table too, as the takeover of a
-- standby does: who finds it empty leaves a gap, so that an id or a receipt of a message that is lost never stands for another one.
create unlogged table pubsub_uncrashed (
    holds boolean primary key default true check (holds)
);
insert into pubsub_uncrashed default values;
