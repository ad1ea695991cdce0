-- What the PubSub scripts have in common. It is put before each of them. KEYS[1] is the beginning of every key and channel of the namespace's topics; ARGV[1] is how long a topic
-- keeps messages, in ms.
--   k:<topic>, o:<topic>  the messages of PublishPersistent and of PublishOrdered, as streams; an entry's field m is the message
--   g:<topic>  the id of the last message that retention removed of each: k, o
--   d:<topic>  the names of the durable subscriptions
--   n:<number> the topic and name of a durable subscription; gen is the last number
--   of a durable subscription, each followed by <topic>/<name>:
--     s:  number; timeout of an acknowledgement in microseconds; pos, the last id that was given to a stream; from, the least publish time in ms; missed; serial, of the last
--         delivery
--     i:  the messages that were given to a stream and are not settled: id to "times-sent serial stream state", the state being u until it was sent, then s
--     q:  their ids, by publish time
--     p:  those that are with a stream, by when they are not any more, in microseconds
--     a:  those that are to be given again, by publish time
--     w:  the streams, by when they were last heard of
--     f:  the streams that have as many as they may
--     r:<topic>/<name>/<stream>  the ids that are with a stream
-- The channels t:<topic> carry the messages to live subscriptions, a all of them to those by pattern; w:<topic> tell durable ones that there may be something to do.
local P = KEYS[1]
local retention = tonumber(ARGV[1])
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local HOLD = 10000000 -- how long a stream has a message without a sign that it is being sent, in microseconds
local IDLE = 3600000 -- how long a topic that keeps nothing any more, and has no durable subscription, is remembered, in ms

local function text(number) return string.format('%.0f', number) end

local function split(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

-- after tells whether an id comes after another.
local function after(a, b)
  local am, as = split(a)
  local bm, bs = split(b)
  return am > bm or (am == bm and as > bs)
end

local function later(a, b) if a and (not b or after(a, b)) then return a end return b end

-- keep makes sure that a topic is remembered as long as is needed.
local function keep(topic)
  local lasting = call('EXISTS', P .. 'd:' .. topic) == 1
  for _, kind in ipairs({'k:', 'o:', 'g:'}) do
    if lasting then
      call('PERSIST', P .. kind .. topic)
    else
      call('PEXPIRE', P .. kind .. topic, text(retention + IDLE))
    end
  end
end

-- trim removes what a topic does not keep any more, and returns the last id that was removed, ever. It removes first: a server whose memory is full lets a script store only what comes behind that.
local function trim(kind, topic)
  local key = P .. kind .. ':' .. topic
  local cutoff = math.floor(now / 1000) - retention
  if cutoff > 0 then
    local old = call('XREVRANGE', key, text(cutoff - 1), '-', 'COUNT', 1)
    if old[1] then
      call('XTRIM', key, 'MINID', text(cutoff))
      call('HSET', P .. 'g:' .. topic, kind, old[1][1])
      keep(topic)
    end
  end
  return call('HGET', P .. 'g:' .. topic, kind) or '0-0'
end

-- newest returns the id of the last message that a topic has got, kept or not.
local function newest(kind, topic)
  local key = P .. kind .. ':' .. topic
  local last = trim(kind, topic)
  if call('EXISTS', key) == 0 then return last end
  local info = call('XINFO', 'STREAM', key)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return later(info[i + 1], last) end
  end
  return last
end

local function wake(topic) call('PUBLISH', P .. 'w:' .. topic, '') end

-- times returns the fields of a durable subscription's delivery, or nothing: how often it was sent, serial, stream, state.
local function delivery(d, id)
  local info = call('HGET', P .. 'i:' .. d, id)
  if info then return string.match(info, '^(%S+) (%S+) (%S+) (%S+)$') end
end

local function note(d, id, sent, serial, stream, state)
  call('HSET', P .. 'i:' .. d, id, sent .. ' ' .. serial .. ' ' .. stream .. ' ' .. state)
end

-- drop takes a delivery from its stream, or from those that are to be given again.
local function drop(d, id, stream)
  call('ZREM', P .. 'p:' .. d, id)
  call('ZREM', P .. 'a:' .. d, id)
  call('SREM', P .. 'r:' .. d .. '/' .. stream, id)
end

-- settle ends a delivery. It returns its stream, if that waits for it.
local function settle(d, id)
  local _, _, stream = delivery(d, id)
  if not stream then return false end
  drop(d, id, stream)
  call('HDEL', P .. 'i:' .. d, id)
  call('ZREM', P .. 'q:' .. d, id)
  return call('SREM', P .. 'f:' .. d, stream) == 1
end

-- again takes a delivery from its stream and lets it be given to any.
local function again(d, id)
  local _, _, stream = delivery(d, id)
  if not stream then return end
  drop(d, id, stream)
  call('SREM', P .. 'f:' .. d, stream)
  call('ZADD', P .. 'a:' .. d, (split(id)), id)
end

-- sent notes that a stream has sent messages: the time of their acknowledgements begins.
local function sent(d, stream, timeout, list)
  for id, serial in string.gmatch(list, '(%S+) (%S+)') do
    local times, last, with, state = delivery(d, id)
    if last == serial and with == stream and state == 'u' then
      note(d, id, times + 1, serial, stream, 's')
      if call('ZSCORE', P .. 'p:' .. d, id) then call('ZADD', P .. 'p:' .. d, text(now + timeout), id) end
    end
  end
end

-- finish ends a stream: what it has not acknowledged is for others. It tells whether the stream was there.
local function finish(d, topic, stream)
  local was = call('ZREM', P .. 'w:' .. d, stream)
  call('SREM', P .. 'f:' .. d, stream)
  local ids = call('SMEMBERS', P .. 'r:' .. d .. '/' .. stream)
  for _, id in ipairs(ids) do again(d, id) end
  if was == 1 or #ids > 0 then wake(topic) end
  return was
end
