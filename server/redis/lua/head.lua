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
-- Reply  now_us, then for each operation a word and the fields that go with it, all in one flat list,
--        for Redis spends as much on turning a nested list into a reply as on a command. Every verb
--        may answer EXPIRED, or WRONG_TYPE and the type, or ERROR and the first word of the error.
--
-- A lock is a string: version (1 byte), tenure (16), token (16), fence (8, big-endian), since_ms
-- (8, big-endian), label (0 to 256). Version and tenure together are its owner. Anything else under
-- a lock's name is another program's lock.

-- Globals are looked up by name each time; and numbers given to redis.call are printed as floating
-- point first, so constant ones are strings.
local call, keys, arguments = redis.call, KEYS, ARGV
local sub, byte, floor = string.sub, string.byte, math.floor
local pack, unpack = struct.pack, struct.unpack

local owner_size = 17
local head_size = 49
local value_size_max = head_size + 256
local owner_end = '16' -- the last byte of the owner, as GETRANGE counts
local value_end = '305' -- one byte more than a value may have
local limit = 9007199254740992 -- 2^53: every integer below it is exact

local time = call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = floor(now_us / 1000)

-- verb -> {run = function(key, index of its first argument), arguments = how many}. Run returns the
-- word and its fields.
local verbs = {}

-- Numbers reach Redis in full: tostring would round them to 14 digits.
local function digits(number)
    return string.format('%.0f', number)
end

-- Fence and since_ms as a lock's value holds them; in halves, for servers whose integers have 32
-- bits.
local function stamp(fence, since_ms)
    return pack('>I4I4I4I4', floor(fence / 4294967296), fence % 4294967296,
        floor(since_ms / 4294967296), since_ms % 4294967296)
end

-- The first word of an error, which is all of it that is stable. Redis 6 puts the place in front.
local function error_word(problem)
    local text = type(problem) == 'table' and problem.err or tostring(problem)
    text = string.gsub(text, '^@?user_script: ?%d+: ', '')
    return string.match(text, '^%-?(%u[%u_]*)') or 'ERR'
end

-- The fence and since_ms of a lock's value (or of its first value_size_max + 1 bytes); nothing when
-- the value is not one of ours.
local function read_value(value)
    if #value < head_size or #value > value_size_max or byte(value) ~= 1 then
        return nil
    end
    local fence_high, fence_low, since_high, since_low = unpack('>I4I4I4I4', value, 34)
    local fence = fence_high * 4294967296 + fence_low
    local since_ms = since_high * 4294967296 + since_low
    if fence >= limit or since_ms >= limit then
        return nil
    end
    return fence, since_ms
end

-- Who holds a lock; never its token or tenure.
local function holder(word, key, value)
    local remaining_ms = call('PTTL', key)
    local fence, since_ms = read_value(value)
    if not fence then
        return word, 1, 0, 0, remaining_ms, ''
    end
    return word, 0, fence, since_ms, remaining_ms, sub(value, head_size + 1)
end

-- The register, as this call sees it.
local register = {key = keys[1], fence = 0, mark = 0, window_us = 0, next_fence = 0}

-- Opens a recovery window of the given length.
local function open_window(window_us)
    register.window_us = window_us
    return 'until_us', digits(now_us + window_us), 'window_us', digits(window_us)
end

-- Reads the register. If this server's run is not the one that wrote it, Redis has forgotten
-- something: a new incarnation begins, and with it the recovery window. A window with more left than
-- its length can only come from a clock that was set back; it begins again, or it would not end for
-- as long as the clock went back. A write is refused when memory is full; then the next call does it.
-- Returns a sentence when another version of Holdfast wrote the register.
local function open_register(run_id, recovery_window_us)
    local fields = call('HMGET', register.key, 'v', 'fence', 'run', 'mark', 'until_us', 'window_us')
    if fields[1] and fields[1] ~= '1' then
        return 'VERSION ' .. register.key .. ' was written by another version of Holdfast'
    end
    register.fence = tonumber(fields[2]) or 0
    if fields[3] ~= run_id then
        register.mark = register.fence
        redis.pcall('HSET', register.key, 'v', '1', 'run', run_id, 'mark', digits(register.mark),
            open_window(recovery_window_us))
        return nil
    end
    register.mark = tonumber(fields[4]) or 0
    register.window_us = math.max(0, (tonumber(fields[5]) or 0) - now_us)
    local length_us = tonumber(fields[6]) or 0
    if register.window_us > length_us then
        redis.pcall('HSET', register.key, open_window(length_us))
    end
    return nil
end

-- Reserves fences for `count` grants before any is made: this is the first write of the call, so
-- where Redis is out of memory it is refused here and nothing has to be undone.
local function reserve_fences(count)
    local first = math.max(register.fence + 1, now_us)
    local last = first + (count - 1) -- in this order: first + count may not be exact
    if not (last < limit) then
        register.problem = 'EXHAUSTED'
        return
    end
    local reply = redis.pcall('HSET', register.key, 'v', '1', 'fence', digits(last))
    if type(reply) == 'table' and reply.err then
        register.problem = error_word(reply)
        return
    end
    register.fence = last
    register.next_fence = first
end

-- Takes note of a fence that an earlier incarnation gave.
local function raise_register(fence)
    if fence > register.fence then
        call('HSET', register.key, 'v', '1', 'fence', digits(fence))
        register.fence = fence
    end
end

