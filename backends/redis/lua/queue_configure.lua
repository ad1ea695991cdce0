-- ARGV: queue, its dead letter queue or '', most receives. Returns 0 when something else is due first: then it is to be called again.
local queue, target, most = unpack(ARGV)
if not settle(queue) then return done(0) end -- leases that have ended are the old configuration's
local key = P .. 'c:' .. queue
local before = call('HGET', key, 'q')
if before then call('SREM', P .. 'f:' .. before, queue) end
if target == '' then
  call('DEL', key)
else
  call('HSET', key, 'q', target, 'n', most)
  call('SADD', P .. 'f:' .. target, queue)
end
return done(1)
