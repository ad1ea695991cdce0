package postgres

// All statements take the namespace's number as $1. A time is asked of the clock in a query of its own, so that the planner takes it for a constant and finds it in an index. Rows that
// a statement changes are named by an array of ids, so that it always goes by the primary key, whatever the planner knows of the table.
const (
	messageColumns = `m.id, m.priority, m.receives, m.enqueued, m.content, m.source, m.source_reason, m.source_receives, m.moved`

	// A message's id is its first place: a number of the batch's own, and the place in the batch.
	enqueueSQL = `
with input as (
	select * from unnest($2::text[], $3::bytea[], $4::smallint[], $5::bigint[], $6::bytea[]) with ordinality as i(queue, content, priority, delay, key, n)
), base as materialized (
	select nextval('queue_places') << 16 as place, clock_timestamp() as now
), known as (
	update queue_keys k set expires = base.now + interval '6 minutes' from input i, base where k.key = i.key and k.expires > base.now returning i.n, k.message, k.due
), fresh as materialized (
	select i.*, base.place + i.n as id, base.now, case when i.delay > 0 then base.now + i.delay * interval '1 microsecond' end as due
	from input i, base where i.n not in (select n from known)
), kept as (
	insert into queue_keys as k (key, message, due, expires) select key, id, due, now + interval '6 minutes' from fresh where key is not null
	on conflict (key) do update set message = excluded.message, due = excluded.due, expires = excluded.expires
), added as (
	insert into queue_messages (namespace, id, queue, state, priority, place, due, enqueued, content)
	select $1, id, queue, case when due is null then 0 else 1 end, priority, id, due, date_trunc('milliseconds', now), content from fresh
)
select n, id, false, due from fresh union all select n, message, true, due from known`

	sweepKeysSQL = `
delete from queue_keys where key = any(array(select key from queue_keys where expires <= (select clock_timestamp()) order by expires limit $1 for update skip locked))`

	receiptsSQL = `unnest($2::text[], $3::bigint[], $4::text[]`

	acknowledgeSQL = `
delete from queue_messages m using ` + receiptsSQL + `) with ordinality as r(queue, id, lease, n)
where m.namespace = $1 and m.id = r.id and m.queue = r.queue and m.lease = r.lease and m.due > clock_timestamp()
returning r.n`

	extendSQL = `
update queue_messages m set due = clock_timestamp() + r.lasting * interval '1 microsecond'
from ` + receiptsSQL + `, $5::bigint[]) with ordinality as r(queue, id, lease, lasting, n)
where m.namespace = $1 and m.id = r.id and m.queue = r.queue and m.lease = r.lease and m.due > clock_timestamp()
returning r.n, m.due`

	// A lease that is released at once, or whose message is to move, is over; advanceSQL does the rest.
	releaseSQL = `
update queue_messages m set lease = null, reason = coalesce(r.reason, m.reason),
	state = case when r.delay > 0 and d.queue is null or r.delay > 0 and m.receives < d.max_receives then 3 else 2 end,
	due = case when r.delay > 0 and d.queue is null or r.delay > 0 and m.receives < d.max_receives then clock_timestamp() + r.delay * interval '1 microsecond' else '-infinity' end
from ` + receiptsSQL + `, $5::bigint[], $6::bytea[]) with ordinality as r(queue, id, lease, delay, reason, n)
left join queue_dead_letters d on d.namespace = $1 and d.queue = r.queue
where m.namespace = $1 and m.id = r.id and m.queue = r.queue and m.lease = r.lease and m.due > clock_timestamp()
returning r.n`

	// What is due becomes visible, or moves. A scheduled message and one that moves get a new place.
	advanceSQL = `
with base as (
	select nextval('queue_places') << 16 as place
)
update queue_messages m set state = 0, due = null, lease = null,
	queue = coalesce(e.dead, m.queue),
	place = case when e.dead is null and m.state <> 1 then m.place else (select place from base) + e.n end,
	receives = case when e.dead is null then m.receives else 0 end,
	reason = case when e.dead is null then m.reason end,
	source = case when e.dead is null then m.source else m.queue end,
	source_reason = case when e.dead is null then m.source_reason else m.reason end,
	source_receives = case when e.dead is null then m.source_receives else m.receives end,
	moved = case when e.dead is null then m.moved else clock_timestamp() end
from (
	select x.id, x.n, d.dead_letter_queue as dead
	from unnest(array(
		select id from queue_messages where namespace = $1 and state <> 0 and due <= (select clock_timestamp()) order by due, place limit $2
	)) with ordinality as x(id, n)
	join queue_messages q on q.namespace = $1 and q.id = x.id
	left join queue_dead_letters d on d.namespace = $1 and d.queue = q.queue and q.state = 2 and q.receives >= d.max_receives
) e
where m.namespace = $1 and m.id = e.id
returning m.queue`

	// A taking without a lease is for good.
	takeSQL = `
with picked as materialized (
	select p.id, p.n from unnest(array(
		select id from queue_messages where namespace = $1 and queue = $2 and state = 0 order by priority desc, place limit $3
	)) with ordinality as p(id, n)
), removed as (
	delete from queue_messages m using picked p where m.namespace = $1 and m.id = p.id and ($4::text[])[p.n] = ''
	returning p.n, m.id, m.priority, m.receives + 1 as receives, m.enqueued, m.content, m.source, m.source_reason, m.source_receives, m.moved, null::timestamptz as due
), leased as (
	update queue_messages m set state = 2, receives = receives + 1, lease = ($4::text[])[p.n], due = clock_timestamp() + ($5::bigint[])[p.n] * interval '1 microsecond'
	from picked p where m.namespace = $1 and m.id = p.id and ($4::text[])[p.n] <> ''
	returning p.n, ` + messageColumns + `, m.due
)
select * from removed union all select * from leased`

	isDueSQL = `exists (select from queue_messages where namespace = $1 and state <> 0 and due <= (select clock_timestamp()))`

	peekSQL = `
select ` + isDueSQL + `, m.id is not null, ` + messageColumns + `
from (values (1)) one left join (
	select * from queue_messages where namespace = $1 and queue = $2 and state = 0 order by priority desc, place limit 1
) m on true`

	// No time is subtracted from infinity before PostgreSQL 17.
	nextDueSQL = `
select extract(epoch from greatest(due, 'epoch') - clock_timestamp())::float8 from queue_messages where namespace = $1 and state <> 0 order by due limit 1`

	scheduledCountSQL = `
select ` + isDueSQL + `, (select count(*) from queue_messages where namespace = $1 and queue = $2 and state = 1)`

	cancelScheduledSQL = `
delete from queue_messages where namespace = $1 and queue = $2 and id = $3 and state = 1 and due > clock_timestamp()`

	configureDeadLetterSQL = `
insert into queue_dead_letters (namespace, queue, dead_letter_queue, max_receives) values ($1, $2, $3, $4)
on conflict (namespace, queue) do update set dead_letter_queue = excluded.dead_letter_queue, max_receives = excluded.max_receives`

	unconfigureDeadLetterSQL = `delete from queue_dead_letters where namespace = $1 and queue = $2`

	getDeadLetterSQL = `
select ` + isDueSQL + `, coalesce(d.dead_letter_queue, ''), coalesce(d.max_receives, 0),
	(select count(*) from queue_messages m where m.namespace = $1 and m.queue = d.dead_letter_queue and m.source = $2)
from (values (1)) one left join queue_dead_letters d on d.namespace = $1 and d.queue = $2`

	lastPlaceSQL = `select nextval('queue_places') << 16`

	redriveSQL = `
with base as (
	select nextval('queue_places') << 16 as place
)
update queue_messages m set queue = m.source, place = base.place + x.n, receives = 0, reason = null,
	source = null, source_reason = null, source_receives = null, moved = null
from base, unnest(array(
	select id from queue_messages
	where namespace = $1 and queue = $2 and source is not null and ($3 = '' or source = $3) and state = 0 and place < $4 order by place limit $5
)) with ordinality as x(id, n)
where m.namespace = $1 and m.id = x.id
returning m.queue`
)
