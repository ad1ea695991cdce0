package postgres

// Of what a topic keeps, readers take at most so many messages at once, and some 1 MiB.
const aheadSQL = `limit 256
	) m
) ahead where before < 1048576`

const (
	// A position ends with the place in the batch, from 1.
	keepSQL = `
with base as materialized (
	select nextval('pubsub_positions') << 16 as position, date_trunc('milliseconds', clock_timestamp()) as now
)
insert into pubsub_messages (namespace, topic, ordered, position, published, content)
select $1, i.topic, i.ordered, base.position + i.n, base.now, i.content
from unnest($2::text[], $3::boolean[], $4::bytea[]) with ordinality as i(topic, ordered, content, n), base
returning position, published`

	removedSQL = `coalesce((select position from pubsub_removed where namespace = $1 and topic = $2 and ordered = $3), 0)`

	lastSQL = `coalesce((select position from pubsub_messages where namespace = $1 and topic = $2 and ordered = $3 order by position desc limit 1), 0)`

	endsSQL = `select ` + removedSQL + `, greatest(` + removedSQL + `, ` + lastSQL + `)`

	newestSQL = `
select position, published from pubsub_messages where namespace = $1 and topic = $2 and not ordered order by position desc limit 1`

	readSQL = `
select coalesce((select position from pubsub_removed where namespace = $1 and topic = $2 and ordered), 0), ahead.position, ahead.published, ahead.content
from (values (1)) one left join (select * from (
	select m.*, sum(octet_length(content)) over (order by position) - octet_length(content) as before from (
		select position, published, content from pubsub_messages where namespace = $1 and topic = $2 and ordered and position > $3 order by position ` + aheadSQL + `
) ahead on true order by ahead.position`

	// $3 is false: what is kept for durable subscriptions is not ordered. $6 is where to start when it is not negative, -1 for the end and -2 for the beginning; $7 is the first
	// publish time. Who comes second finds the other one's, in another attempt if need be.
	subscribeSQL = `
with removed as materialized (
	select ` + removedSQL + ` as position, coalesce((select published from pubsub_removed where namespace = $1 and topic = $2 and ordered = $3), '-infinity') as published
), made as (
	insert into pubsub_subscriptions (namespace, topic, name, timeout, position, not_before, missed)
	select $1, $2, $4, $5::bigint,
		greatest(removed.position, case $6::bigint when -1 then ` + lastSQL + ` when -2 then 0 else $6::bigint end), $7::timestamptz,
		$6::bigint >= 0 and removed.position > $6::bigint or $7::timestamptz > '-infinity' and removed.published >= $7::timestamptz
	from removed where not exists (select from pubsub_subscriptions where namespace = $1 and topic = $2 and name = $4)
	on conflict do nothing returning id, timeout
)
select id, timeout from made
union all select id, timeout from pubsub_subscriptions where namespace = $1 and topic = $2 and name = $4`

	forgetSQL = `delete from pubsub_subscriptions where namespace = $1 and id = $2 returning topic`

	// The statements of one look for messages, in this order. All take the subscription as $1, and those behind the first are made by one stream at a time.
	holdSubscriptionSQL = `select true from pubsub_subscriptions where id = $1 for update`

	countSentSQL = `update pubsub_deliveries set sent = sent + 1 where subscription = $1 and stream = $2 and position = any($3::bigint[])`

	// A delivery is stamped with a quarter more than the timeout, and is stamped anew when it is sent later than a quarter after that.
	deadlineSQL = `clock_timestamp() + s.timeout * 1.25 * interval '1 microsecond'`

	// $3 is how many messages may await acknowledgement on the stream.
	roomSQL = `greatest($3 - (select count(*) from pubsub_deliveries where subscription = $1 and stream = $2 and deadline > (select clock_timestamp())), 0)`

	takeAgainSQL = `
with picked as materialized (
	select d.position, m.published, m.content
	from pubsub_subscriptions s, unnest(array(
		select position from pubsub_deliveries where subscription = $1 and deadline <= (select clock_timestamp()) order by deadline, position limit least(32, ` + roomSQL + `)
	)) as d(position)
	left join pubsub_messages m on m.namespace = (select namespace from pubsub_subscriptions where id = $1) and m.topic = (select topic from pubsub_subscriptions where id = $1)
		and not m.ordered and m.position = d.position
	where s.id = $1
), gone as (
	delete from pubsub_deliveries d using picked p where d.subscription = $1 and d.position = p.position and p.content is null returning d.position
), told as (
	update pubsub_subscriptions set missed = true where id = $1 and exists (select from gone)
), again as (
	update pubsub_deliveries d set stream = $2, deadline = ` + deadlineSQL + `
	from picked p, pubsub_subscriptions s where s.id = $1 and d.subscription = $1 and d.position = p.position and p.content is not null
	returning d.position, d.sent
)
select p.position, p.published, p.content, a.sent from again a, picked p where p.position = a.position order by p.position`

	// What retention has removed, and what was published before a subscription's start, is passed once, and not looked at again and again. One statement sees all that is removed and all that is
	// kept at one moment.
	takeNextSQL = `
with s as materialized (
	select s.namespace, s.topic, s.not_before, s.timeout, greatest(s.position, r.position) as position,
		s.missed or coalesce(r.position > s.position and r.published >= s.not_before, false) as missed, ` + roomSQL + ` as room
	from pubsub_subscriptions s left join pubsub_removed r on r.namespace = s.namespace and r.topic = s.topic and not r.ordered
	where s.id = $1
), fresh as materialized (
	select position, published, content from (
		select m.*, sum(octet_length(content)) over (order by position) - octet_length(content) as before from (
			select k.position, k.published, k.content from s, pubsub_messages k
			where k.namespace = s.namespace and k.topic = s.topic and not k.ordered and k.position > s.position and k.published >= s.not_before
			order by k.position limit least(256, (select room from s))
		) m
	) ahead where before < 1048576
), taken as (
	insert into pubsub_deliveries (subscription, position, stream, deadline, sent) select $1, fresh.position, $2, ` + deadlineSQL + `, 0 from fresh, s
), reached as (
	select greatest(s.position, coalesce((select max(position) from fresh), case when s.room > 0 and s.not_before > '-infinity' then (
		select position from pubsub_messages k where k.namespace = s.namespace and k.topic = s.topic and not k.ordered order by k.position desc limit 1
	) end)) as position, s.missed from s
), moved as (
	update pubsub_subscriptions m set position = r.position, missed = r.missed from reached r where m.id = $1 and (r.position > m.position or r.missed <> m.missed)
)
select position, published, content, 0 from fresh order by position`

	// While a Missed is under way, it has a place among the deliveries, which is no message's. If its stream does not tell in time that it was sent, it is found to be without its message, as
	// one that retention has removed, and so there is a Missed for another stream.
	takeMissedSQL = `
with s as (
	update pubsub_subscriptions set missed = false where id = $1 and missed returning timeout
)
insert into pubsub_deliveries (subscription, position, stream, deadline, sent) select $1, 0, $2, ` + deadlineSQL + `, 0 from s
on conflict (subscription, position) do update set stream = excluded.stream, deadline = excluded.deadline returning true`

	missedSentSQL = `delete from pubsub_deliveries where subscription = $1 and position = 0 and stream = $2`

	stampSQL = `
update pubsub_deliveries d set deadline = ` + deadlineSQL + ` from pubsub_subscriptions s
where s.id = $1 and d.subscription = $1 and d.stream = $2 and d.position = any($3::bigint[]) returning d.position`

	giveBackSQL = `
update pubsub_deliveries set stream = '', deadline = '-infinity', sent = sent + case when position = any($3::bigint[]) then 1 else 0 end where subscription = $1 and stream = $2`

	settleSQL = `
with s as (
	select id from pubsub_subscriptions where id = $1 and namespace = $2 and topic = $3 and name = $4
), settled as (
	delete from pubsub_deliveries where subscription = (select id from s) and position = any($5::bigint[])
)
select exists (select from s)`

	sweepTopicsSQL = `
with gone as (
	delete from pubsub_messages m using (
		select namespace, topic, ordered, position from pubsub_messages
		where published < (select clock_timestamp()) - $1::bigint * interval '1 microsecond' order by published, position limit $2
	) o where m.namespace = o.namespace and m.topic = o.topic and m.ordered = o.ordered and m.position = o.position
	returning m.namespace, m.topic, m.ordered, m.position, m.published
), noted as (
	insert into pubsub_removed as r (namespace, topic, ordered, position, published)
	select namespace, topic, ordered, max(position), max(published) from gone group by namespace, topic, ordered
	on conflict (namespace, topic, ordered) do update set position = greatest(r.position, excluded.position), published = greatest(r.published, excluded.published)
)
select count(*) from gone`
)
