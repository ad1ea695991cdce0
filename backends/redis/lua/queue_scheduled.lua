-- ARGV: queue, and the id of a scheduled message to remove. Returns how many were removed; without an id, how many there are.
local queue, id = unpack(ARGV)
settle(queue)
local scheduled = P .. 's:' .. queue
if not id then return done(call('ZCOUNT', scheduled, '(' .. text(now), '+inf')) end
local due = call('ZSCORE', scheduled, id)
if not due or tonumber(due) <= now then return done(0) end
call('ZREM', scheduled, id)
call('DEL', P .. 'm:' .. id)
return done(1)
