--- Scripts for EVAL: each is one step for Redis, so that no other client comes between its commands.
--
-- KEYS: 1 stream of the jobs, 2 stream of the dead, 3 hash of the queued jobs by target, 4 hash of counters, 5 hash
-- of the words by which workers describe themselves. The scripts return a word or a number.

local scripts = {}

local COMMON = [[
local jobs, dead, queued, counts, workers = unpack(KEYS)
local function count(what)
  redis.call('HINCRBY', counts, what, 1)
end
]]

-- Whether a job is still that of a worker. XACK and XCLAIM alone do not ask.
local OWNER = COMMON .. [[
local group, worker, id = ARGV[1], ARGV[2], ARGV[3]
if #redis.call('XPENDING', jobs, group, id, id, 1, worker) == 0 then
  count('lost')
  return 0
end
]]

--- ARGV: prefix of the keys of done jobs, text of the key, target or its substitute, digest of the target ("-": none),
-- limit, fields ...
scripts.add = COMMON .. [[
local key = redis.sha1hex(ARGV[2])
local done = redis.call('GET', ARGV[1] .. key)
if done and (ARGV[4] == '-' or done == ARGV[4]) then
  return 'done'
end
local other = redis.call('HGET', queued, ARGV[3])
if other then
  return other == key and 'queued' or 'busy'
end
if redis.call('XLEN', jobs) >= tonumber(ARGV[5]) then
  return 'full'
end
redis.call('HSET', queued, ARGV[3], key)
redis.call('XADD', jobs, '*', unpack(ARGV, 6))
count('added')
return 'added'
]]

--- ARGV: group, worker, lease in milliseconds, cursor. Gives the next cursor, and an ID, how often it was delivered,
-- and fields, when there is a job: one whose worker is gone, or a new one.
scripts.take = COMMON .. [[
local group, worker, lease, cursor = unpack(ARGV)
local claimed = redis.call('XAUTOCLAIM', jobs, group, worker, lease, cursor, 'COUNT', 1)
local one = claimed[2][1]
if one then
  count('reclaimed')
else
  local read = redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', 1, 'STREAMS', jobs, '>')
  one = read and read[1][2][1]
end
if not one then
  return { claimed[1] }
end
local pending = redis.call('XPENDING', jobs, group, one[1], one[1], 1, worker)
return { claimed[1], one[1], pending[1][4], one[2] }
]]

--- ARGV: group, worker, id, description of the worker.
scripts.beat = OWNER .. [[
redis.call('XCLAIM', jobs, group, worker, 0, id, 'JUSTID')
redis.call('HSET', workers, worker, ARGV[4])
return 1
]]

--- A job ends for this worker. ARGV: group, worker, id, name of the counter, target that is free then or "", stream
-- that gets the fields or "", text of the key of a done job or "", its digest, seconds that the key is kept, text of a
-- second such key or "", prefix of these keys, fields ...
scripts.leave = OWNER .. [[
redis.call('XACK', jobs, group, id)
redis.call('XDEL', jobs, id)
local what, target, stream, text, digest, seconds, text2, prefix = unpack(ARGV, 4, 11)
if target ~= '' then
  redis.call('HDEL', queued, target)
end
if stream ~= '' then
  redis.call('XADD', stream, '*', unpack(ARGV, 12))
end
for _, one in ipairs({ text, text2 }) do
  if one ~= '' then
    redis.call('SET', prefix .. redis.sha1hex(one), digest, 'EX', seconds)
  end
end
count(what)
if what == 'done' then
  local minute = prefix .. 'minute:' .. math.floor(redis.call('TIME')[1] / 60)
  redis.call('INCR', minute)
  redis.call('EXPIRE', minute, 1000)
end
return 1
]]

--- Workers that have no job are forgotten when they have not asked for so many milliseconds, and one that ends.
-- ARGV: group, milliseconds, the worker that ends or "".
scripts.sweep = COMMON .. [[
local here = {}
for _, row in ipairs(redis.call('XINFO', 'CONSUMERS', jobs, ARGV[1])) do
  local name, pending, idle = row[2], row[4], row[6]
  if pending == 0 and (idle > tonumber(ARGV[2]) or name == ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', jobs, ARGV[1], name)
  else
    here[name] = true
  end
end
for _, name in ipairs(redis.call('HKEYS', workers)) do
  if not here[name] then
    redis.call('HDEL', workers, name)
  end
end
return 1
]]

--- Dead jobs go back into the queue, when their target has no other job. ARGV: id, text of the key, target, fields ...
scripts.revive = COMMON .. [[
if redis.call('HEXISTS', queued, ARGV[3]) == 1 then
  return 'busy'
end
if redis.call('XDEL', dead, ARGV[1]) == 0 then
  return 'gone'
end
redis.call('HSET', queued, ARGV[3], redis.sha1hex(ARGV[2]))
redis.call('XADD', jobs, '*', unpack(ARGV, 4))
return 'added'
]]

return scripts
