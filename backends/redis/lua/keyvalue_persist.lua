-- Takes a key's time to live away. Answers 0 when the key is missing, 1 when it had none, and 2 when it had one.
-- KEYS: the key.
if redis.call('PERSIST', KEYS[1]) == 1 then
  return 2
end
return redis.call('EXISTS', KEYS[1])
