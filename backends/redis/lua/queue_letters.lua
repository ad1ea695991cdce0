-- ARGV: queue. Returns its dead letter queue, most receives and how many of its messages are there; nothing when it has none; 0 when something else is due first.
local queue = ARGV[1]
local c = call('HMGET', P .. 'c:' .. queue, 'q', 'n')
if not c[1] then return done({}) end
if not (settle(c[1]) and pass(queue)) then return done(0) end
return done({c[1], c[2], call('ZCARD', P .. 'x:' .. c[1] .. '/' .. queue)})
