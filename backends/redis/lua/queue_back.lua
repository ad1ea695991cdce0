-- Undoes a taking whose caller had gone. ARGV: queue, id, the lease's secret or '', and the fields of a message that was taken for good, as queue_take returned them.
local queue, id, secret = ARGV[1], ARGV[2], ARGV[3]
local key = P .. 'm:' .. id
settle(queue)
if secret ~= '' then
  local m = call('HMGET', key, 'l', 's')
  if m[1] ~= secret then return done(0) end
  call('HDEL', key, 'l')
  call('HINCRBY', key, 'n', -1)
  call('ZREM', P .. 'h:' .. queue, id)
  show(queue, id, m[2])
  return done(1)
end
call('ZREM', P .. 'v:' .. queue, id) -- it is not there; but a script that has removed something may store also when the memory is full
local names = {'b', 't', 'y', 'n', 's', 'r', 'x', 'xr', 'xn', 'xt'}
for i, name in ipairs(names) do
  local value = ARGV[3 + i]
  if value ~= '' or name == 'b' then call('HSET', key, name, value) end
end
call('HINCRBY', key, 'n', -1)
if ARGV[10] ~= '' then letter(queue, ARGV[10], id, place(ARGV[8])) end
show(queue, id, ARGV[8])
return done(1)
