-- What the queue scripts have in common. It is put before each of them. KEYS[1] is the beginning of every key of the namespace's queues:
--   seq        the last place that was given away, also the first part of message ids
--   m:<id>     a message, as a hash: b payload and metadata, t enqueue time in ms, y priority, n receive count, s score of its place, l the lease's secret while it
--              is leased, r the reason of the last Release; x, xr, xn, xt of a dead letter: source queue, last reason, receive count, time in ms
--   v:<queue>  the visible messages by priority and place
--   s:<queue>  the scheduled ones by due time in microseconds
--   h:<queue>  the leased and the held back ones by the end of that in microseconds
--   c:<queue>  the dead letter configuration: q queue, n most receives
--   f:<queue>  the queues whose dead letter queue it is
--   x:<queue>/<source>  the dead letters in a queue that were moved from a source, by place; with an empty source, all of them
--   i:<queue>/<key>     an idempotency key: the message's id and its due time
-- The messages w:<queue> tell those who wait how many messages have become visible.
local P = KEYS[1]
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local PRIORITY = 562949953421312 -- 2^49: places of one priority
local BITE = 500 -- how many messages whose time has come are looked after in one run
local left = BITE
local woken = {}

local function text(number) return string.format('%.0f', number) end
local function place(score) return score % PRIORITY end

local function show(queue, id, score)
  call('ZADD', P .. 'v:' .. queue, score, id)
  woken[queue] = (woken[queue] or 0) + 1
end

-- arrive gives a message the last place of its priority and shows it.
local function arrive(queue, id)
  local last = call('INCR', P .. 'seq')
  local score = (9 - call('HGET', P .. 'm:' .. id, 'y')) * PRIORITY + last
  call('HSET', P .. 'm:' .. id, 's', text(score))
  show(queue, id, text(score))
  return last
end

-- letter notes, or with ZREM forgets, that a message is a dead letter in a queue.
local function letter(queue, source, id, last)
  for _, of in ipairs({'', source}) do
    if last then
      call('ZADD', P .. 'x:' .. queue .. '/' .. of, last, id)
    else
      call('ZREM', P .. 'x:' .. queue .. '/' .. of, id)
    end
  end
end

-- bring ends a lease, or the time that a message was held back: it is visible again at its old place, after a delay that may be 0, or moves to the dead letter queue.
local function bring(queue, id, delay)
  local key = P .. 'm:' .. id
  local m = call('HMGET', key, 'l', 'n', 's', 'x', 'r')
  if m[1] then
    call('HDEL', key, 'l')
    local c = call('HMGET', P .. 'c:' .. queue, 'q', 'n')
    if c[1] and tonumber(m[2]) >= tonumber(c[2]) then
      if m[4] then letter(queue, m[4], id) end
      call('HDEL', key, 'r')
      call('HSET', key, 'n', 0, 'x', queue, 'xr', m[5] or '', 'xn', m[2], 'xt', text(math.floor(now / 1000)))
      letter(c[1], queue, id, arrive(c[1], id))
      return
    end
    if delay > 0 then
      call('ZADD', P .. 'h:' .. queue, text(now + delay), id)
      return
    end
  end
  show(queue, id, m[3])
end

-- pass lets happen what is due in one queue. It tells whether that was all.
local function pass(queue)
  if left <= 0 then return false end
  local due = call('ZRANGEBYSCORE', P .. 's:' .. queue, '-inf', text(now), 'LIMIT', 0, left)
  for _, id in ipairs(due) do
    call('ZREM', P .. 's:' .. queue, id)
    arrive(queue, id)
  end
  left = left - #due
  due = call('ZRANGEBYSCORE', P .. 'h:' .. queue, '-inf', text(now), 'LIMIT', 0, left)
  for _, id in ipairs(due) do
    call('ZREM', P .. 'h:' .. queue, id)
    bring(queue, id, 0)
  end
  left = left - #due
  return left > 0
end

-- settle lets happen what is due in a queue, and in those whose dead letters come to it. It tells whether that was all.
local function settle(queue)
  local all = pass(queue)
  for _, source in ipairs(call('SMEMBERS', P .. 'f:' .. queue)) do
    all = pass(source) and all
  end
  return all
end

-- wait returns in how many microseconds something is due in a queue, or in those whose dead letters come to it; -1 when nothing is.
local function wait(queue)
  local next
  local function ask(key)
    local first = call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[2] and (not next or tonumber(first[2]) < next) then next = tonumber(first[2]) end
  end
  ask(P .. 's:' .. queue)
  ask(P .. 'h:' .. queue)
  for _, source in ipairs(call('SMEMBERS', P .. 'f:' .. queue)) do ask(P .. 'h:' .. source) end
  if not next then return -1 end
  return math.max(0, next - now)
end

-- done ends a script: it wakes who waits for what has become visible.
local function done(answer)
  for queue, count in pairs(woken) do call('PUBLISH', P .. 'w:' .. queue, count) end
  return answer
end
