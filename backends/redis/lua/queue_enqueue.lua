-- ARGV: queue, the random end of the id, payload and metadata, priority, delay in microseconds, idempotency key, its life in ms.
-- Returns the id, whether it was enqueued before, and when it is due in microseconds, or ''.
local queue, random, body, priority, delay, key, life = unpack(ARGV)
settle(queue)
local known = P .. 'i:' .. queue .. '/' .. key
if key ~= '' then
  local before = call('GET', known)
  if before then
    call('PEXPIRE', known, life)
    local id, due = string.match(before, '^(%S+) (%S*)$')
    return done({id, 1, due})
  end
end
local last = call('INCR', P .. 'seq')
local id = string.format('%013x', last) .. random
local score = (9 - priority) * PRIORITY + last
local due = ''
call('HSET', P .. 'm:' .. id, 'b', body, 't', text(math.floor(now / 1000)), 'y', priority, 'n', 0, 's', text(score))
if tonumber(delay) > 0 then
  due = text(now + delay)
  call('ZADD', P .. 's:' .. queue, due, id)
  call('PUBLISH', P .. 'w:' .. queue, 1) -- who waits learns when it is due
else
  show(queue, id, text(score))
end
if key ~= '' then call('SET', known, id .. ' ' .. due, 'PX', life) end
return done({id, 0, due})
