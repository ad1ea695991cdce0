-- Works on a lease that lasts. ARGV: queue, id, the lease's secret, 'extend', 'release' or 'acknowledge', a time in microseconds, a reason.
-- Returns false when there is no such lease, else when it ends in microseconds.
local queue, id, secret, how, lasting, reason = unpack(ARGV)
settle(queue)
local key = P .. 'm:' .. id
local stop = call('ZSCORE', P .. 'h:' .. queue, id)
if not stop or tonumber(stop) <= now or call('HGET', key, 'l') ~= secret then return done(false) end
if how == 'extend' then
  local new = text(now + lasting)
  call('ZADD', P .. 'h:' .. queue, new, id)
  return done(new)
end
call('ZREM', P .. 'h:' .. queue, id)
if how == 'release' then
  if reason ~= '' then call('HSET', key, 'r', reason) end
  bring(queue, id, tonumber(lasting))
else
  local source = call('HGET', key, 'x')
  if source then letter(queue, source, id) end
  call('DEL', key)
end
return done('')
