-- SPDX-License-Identifier: Apache-2.0
-- The batch script: lease operations, any number of them, in one atomic call. This part opens it;
-- one file per operation follows, and batch.lua runs them. Redis 6.2 or newer, Valkey 7.2 or newer.
--
-- KEYS   1      holdfast:register, a hash: v (1), fence (the highest one given), run (the server's
--               run_id when it was last seen), mark (the fence it knew when that run began),
--               until_us (the end of the recovery window), window_us (its length)
--        2..    the lock of each operation, in order
-- ARGV   1      run_id of the server, learnt at connect
--        2      not_after_us: by TIME, later than this nothing is done
--        3      recovery_window_us
--        4..    for each operation its verb and that verb's arguments
-- Reply  now_us, then for each operation a word and the fields that go with it, in one flat list.
--        Every verb may answer EXPIRED, or WRONG_TYPE and the type, or ERROR and the first word of
--        the error. To a call without operations: now_us, and what is left of the recovery window.
--
-- A lock is a string: version (1 byte), tenure (16), token (16), fence (8, big-endian), since_ms
-- (8, big-endian), label (0 to 256). Version and tenure together are its owner. Anything else under
-- a lock's name is another program's lock.
--
-- Written with Redis' time in mind: a function costs for every local it captures, a list in a list
-- costs as much to reply as a command to run, and a number given to redis.call is printed as
-- floating point first, so constant ones are strings. Large numbers go through digits(), for
-- tostring would round them to 14 digits.

local call, keys, arguments = redis.call, KEYS, ARGV
local owner_end = '16' -- the last byte of the owner, as GETRANGE counts
local value_end = '305' -- one byte more than a lock may have
local limit = 9007199254740992 -- 2^53: every integer below it is exact

local function digits(number)
    return string.format('%.0f', number)
end

-- What answers for an operation that failed. Only the first word of an error is stable; Redis 6
-- puts the place in front. What a script may not do is refused in three ways: Redis 6 gives no word
-- at all, 7.0 the word ERR, later ones NOPERM.
local function failure(key, problem)
    local text = type(problem) == 'table' and problem.err or tostring(problem)
    text = string.gsub(text, '^@?user_script: ?%d+: ', '')
    local word = string.match(text, '^%-?(%u[%u_]*)') or 'ERR'
    if string.find(text, 'The user executing the script', 1, true)
        or string.find(text, 'ACL failure in script', 1, true) then
        word = 'NOPERM'
    end
    if word == 'WRONGTYPE' then
        return 'WRONG_TYPE', redis.pcall('TYPE', key).ok or 'unknown'
    end
    return 'ERROR', word
end

-- Nothing is done before the whole call is known to be well-formed.
local width = {ACQUIRE = 4, RENEW = 4, RELEASE = 2, INSPECT = 1}
local acquires, last = 0, 3
for _ = 2, #keys do
    local verb = arguments[last + 1]
    if verb == 'ACQUIRE' then
        acquires = acquires + 1
    end
    last = last + (width[verb or ''] or #arguments)
end
local not_after_us, recovery_window_us = tonumber(arguments[2]), tonumber(arguments[3])
if last ~= #arguments or not not_after_us or not recovery_window_us then
    return redis.error_reply('ERR malformed batch')
end

local time = call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)
local reply = {now_us}
if now_us > not_after_us then
    for i = 2, #keys do
        reply[i] = 'EXPIRED'
    end
    return reply
end

-- The register. If it was written under another run of the server, Redis has forgotten something: a
-- new incarnation begins, and with it the recovery window. A window with more left than its length
-- can only come from a clock that was set back; it begins again, or it would not end for as long as
-- the clock went back. The write is refused when memory is full; then the next call does it.
local fields = call('HMGET', keys[1], 'v', 'fence', 'run', 'until_us')
if fields[1] and fields[1] ~= '1' then
    return redis.error_reply('VERSION ' .. keys[1] .. ' was written by another version of Holdfast')
end
local fence, mark = tonumber(fields[2]) or 0, 0
local window_us, length_us = (tonumber(fields[4]) or 0) - now_us, nil
local is_new_run = fields[3] ~= arguments[1]
if is_new_run then
    mark, length_us = fence, recovery_window_us
elseif window_us > 0 then
    local opened = call('HMGET', keys[1], 'mark', 'window_us')
    mark, length_us = tonumber(opened[1]) or 0, tonumber(opened[2]) or 0
end
if is_new_run or (length_us and window_us > length_us) then
    window_us = length_us
    redis.pcall('HSET', keys[1], 'v', '1', 'run', arguments[1], 'mark', digits(mark),
        'until_us', digits(now_us + window_us), 'window_us', digits(window_us))
end
local is_recovering = window_us > 0
if #keys == 1 then
    return {now_us, is_recovering and window_us or 0}
end

-- Reserves a fence for every grant before any is made: this is the first write of the call, so
-- where Redis is out of memory it is refused here and nothing has to be undone.
local next_fence, refusal = math.max(fence + 1, now_us), nil
if acquires > 0 and not is_recovering then
    fence = next_fence + (acquires - 1) -- in this order: next_fence + acquires may not be exact
    if not (fence < limit) then
        refusal = 'EXHAUSTED'
    else
        local done = redis.pcall('HSET', keys[1], 'fence', digits(fence))
        if type(done) == 'table' then
            local _, word = failure(keys[1], done)
            refusal = word
        end
    end
end

-- Who holds a lock whose value (or its first 306 bytes) is given; never its token or tenure.
local function holder(word, key, value)
    local remaining_ms = redis.call('PTTL', key)
    if #value >= 49 and #value <= 305 and string.byte(value) == 1 then
        local fence_high, fence_low, since_high, since_low = struct.unpack('>I4I4I4I4', value, 34)
        local held_fence = fence_high * 4294967296 + fence_low
        local since_ms = since_high * 4294967296 + since_low
        if held_fence < limit and since_ms < limit then
            return word, 0, held_fence, since_ms, remaining_ms, string.sub(value, 50)
        end
    end
    return word, 1, 0, 0, remaining_ms, ''
end

