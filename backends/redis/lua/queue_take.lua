-- ARGV: queue, 'peek', 'take' or 'lease', and for a lease how long it lasts in microseconds and its secret.
-- Returns the first visible message, as its id, its fields and the end of its lease in microseconds; or in how many microseconds something is due.
local queue, how, lasting, secret = unpack(ARGV)
settle(queue)
local first = call('ZRANGE', P .. 'v:' .. queue, 0, 0)
local id = first[1]
if not id then return done({wait(queue)}) end
local key = P .. 'm:' .. id
if how ~= 'peek' then
  call('ZREM', P .. 'v:' .. queue, id)
  call('HINCRBY', key, 'n', 1)
end
local stop = now + (tonumber(lasting) or 0)
if how == 'lease' then
  call('HSET', key, 'l', secret)
  call('ZADD', P .. 'h:' .. queue, text(stop), id)
end
local m = call('HMGET', key, 'b', 't', 'y', 'n', 's', 'r', 'x', 'xr', 'xn', 'xt')
if how == 'take' then
  if m[7] then letter(queue, m[7], id) end
  call('DEL', key)
end
for i = 1, 10 do m[i] = m[i] or '' end
return done({id, text(stop), unpack(m)})
