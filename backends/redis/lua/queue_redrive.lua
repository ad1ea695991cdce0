-- ARGV: dead letter queue, source queue or '', how many to move at most, the place to go on behind, the last place to look at or ''.
-- Returns how many were moved, the last place that was looked at, the last to look at, and whether that was all.
local queue, source, most, behind, last = unpack(ARGV)
settle(queue)
if last == '' then last = call('GET', P .. 'seq') or '0' end
local found = call('ZRANGEBYSCORE', P .. 'x:' .. queue .. '/' .. source, '(' .. behind, last, 'WITHSCORES', 'LIMIT', 0, 100)
local moved = 0
for i = 1, #found, 2 do
  if moved == tonumber(most) then break end
  local id = found[i]
  behind = found[i + 1]
  if call('ZREM', P .. 'v:' .. queue, id) == 1 then
    local key = P .. 'm:' .. id
    local to = call('HGET', key, 'x')
    letter(queue, to, id)
    call('HDEL', key, 'r', 'x', 'xr', 'xn', 'xt')
    call('HSET', key, 'n', 0)
    arrive(to, id)
    moved = moved + 1
  end
end
local all = 0
if #found == 0 or moved == tonumber(most) then all = 1 end
return done({moved, behind, last, all})
