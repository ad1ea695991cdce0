-- Ends a transaction, and applies it if what it has read still holds. Answers 0, 1 when it is not open, or 4 when something has changed.
-- KEYS: the transaction, the open transactions, the index. ARGV: the handle, what the names of values begin with.
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then
  return 1
end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
for i = 1, #fields, 2 do
  local field = fields[i]
  if #field > 1 and string.sub(field, 1, 1) == 'r' then
    local value = redis.call('GET', ARGV[2] .. string.sub(field, 2))
    if (value and '=' .. value or '-') ~= fields[i + 1] then
      return 4
    end
  end
end
for i = 1, #fields, 2 do
  local field, content = fields[i], fields[i + 1]
  if #field > 1 and string.sub(field, 1, 1) == 'w' then
    local key = string.sub(field, 2)
    if content == '-' then
      redis.call('DEL', ARGV[2] .. key)
      redis.call('ZREM', KEYS[3], key)
    else
      redis.call('SET', ARGV[2] .. key, string.sub(content, 2))
      redis.call('ZADD', KEYS[3], 0, key)
    end
  end
end
return 0
