-- SPDX-License-Identifier: Apache-2.0
-- The batch script: lease operations, any number of them, in one atomic call. This part opens it;
-- what several operations share follows, then one file per operation, and batch.lua runs them.
-- Redis 6.2 or newer, Valkey 7.2 or newer.
--
-- KEYS   1      holdfast:register, a string: version (1 byte), fence (the highest one given), mark
--               (the fence that was known when the server's run began), until_us (the end of the
--               recovery window), window_us (its length), watched_until_us (somebody may watch
--               locks until then), queued_until_us (somebody may wait for one until then), each a
--               big-endian double (8); run_id of the server when it was last seen
--        2..    the lock of each operation, in order
-- ARGV   1      run_id of the server, learnt at connect
--        2      server id of the caller, by which the queue knows it: 32 hex digits
--        3      four big-endian doubles. not_after_us: by TIME, later than this nothing is done;
--               recovery_window_us; watch_us: the caller watches locks, and says so again before so
--               long (0: it does not); px_ms: the ttl of what is told in short
--        4      the tail of the record (label length, label, value) of what is told in short
--        5..    for each operation its verb, a letter, with what it asks for beyond the plain case
--               (its options); then that verb's arguments. An EXCLUSIVE one without options, with the
--               ttl and the tail above, is told in short by one argument, known by its length: the
--               head (34 bytes) of an ACQUIRE, the owner (18) of a RELEASE, the record (51 and more)
--               of a RENEW
-- Reply  now_us, then for each operation a word and the fields that go with it, in one flat list.
--        Every verb may answer EXPIRED, or WRONG_TYPE and the type, or ERROR and the first word of
--        the error. A negative number -n stands for n operations in a row that went plainly (rows.lua):
--        the fence of the first ACQUIRE among them follows, if there is one, and each other has the
--        next fence. To a call without operations: now_us, and what is left of the recovery window.
--
-- The record of a grant: version (1 byte), tenure (16), flags (1), token (16), fence (8,
-- big-endian), since_ms (8, big-endian), label length (1), label (0 to 128), value (0 to 4096).
-- Version and tenure together are its owner. Flags: 1 contended (somebody may wait), 2 closed (a
-- lock delay is running; the tenure is zero).
--
-- An EXCLUSIVE lock is a string, its record. A SHARED one is a sorted set of tokens by the time they
-- end (in microseconds), with their records in a hash beside it (shared.lua). Anything else under a
-- lock's name is another program's. Who waits stands in a queue (queue.lua).
--
-- Who holds a lock is told by: flags (1 foreign, 2 closed, 4 SHARED), holders, fence, since_ms,
-- remaining_ms (-1: for ever; SHARED: of the holder that ends first, who is the one told), label.
-- Never its token or tenure.
--
-- Written with Redis' time in mind: a function costs for every local it captures, so what is plain is
-- done without (rows.lua, plain.lua), and only those that the rest of the call needs are made. A list in a list
-- costs as much to reply as a command to run, and a number given to redis.call is printed as floating
-- point first, so constant ones are strings. Large numbers go through digits(), for tostring would
-- round them to 14 digits.

local call, try, keys, arguments = redis.call, redis.pcall, KEYS, ARGV
local our_server = arguments[2]
local label_end = '178' -- the last byte that may be a label's, as GETRANGE counts
local value_end = '4275' -- one byte more than a record may have
local number_limit = 9007199254740992 -- 2^53: every integer below it is exact

local function digits(number)
    if number < 100000000000000 then
        return '' .. number -- 14 digits, in half the time
    end
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

-- The name of a key of ours beside a lock's, in its cluster slot: with the lock's hash tag, or where
-- it has none with the whole key as one. No two locks have the same, for only the second sort goes
-- on with a brace.
local function beside(kind, key)
    if string.find(key, '^[^{]*{[^}]+}') then
        return 'holdfast:' .. kind .. '::' .. key
    end
    return 'holdfast:' .. kind .. ':{' .. key .. '}'
end

-- Nothing is done before the whole call is known to be well-formed.
local acquires, renews, releases, others, last = 0, 0, 0, 0, 4
for _ = 2, #keys do
    local verb = arguments[last + 1] or ''
    local length = #verb
    if length == 34 then
        acquires, last = acquires + 1, last + 1
    elseif length == 18 then
        releases, last = releases + 1, last + 1
    elseif length > 50 then
        renews, last = renews + 1, last + 1
    else
        local letter = string.byte(verb)
        if letter == 65 then -- A
            acquires, last = acquires + 1, last + 4
        elseif letter == 82 then -- R
            releases, last = releases + 1, last + 2
        elseif letter == 78 then -- N
            renews, last = renews + 1, last + 3
        elseif letter == 73 then -- I
            others, last = others + 1, last + 1
        elseif letter == 83 then -- S
            others, last = others + 1, last + 4
        else
            last = #arguments + 1
        end
    end
end
if last ~= #arguments or #arguments[3] ~= 32 then
    return redis.error_reply('ERR malformed batch')
end
local not_after_us, recovery_window_us, watch_us, px_ms = struct.unpack('>dddd', arguments[3])

local time = call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = (now_us - now_us % 1000) / 1000
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
-- the clock went back. The write is refused when memory is full; then the next call does it. Who
-- begins an incarnation tells every server: nobody is granted anything before the window has ended, so
-- whoever hears of it has all of the window to re-create what it held, however Redis came to forget.
local register = call('GETRANGE', keys[1], '0', '112')
local fence, mark, until_us, length_us, watched_us, queued_us = 0, 0, 0, 0, 0, 0
if register ~= '' then
    if #register < 49 or string.byte(register) ~= 1 then
        return redis.error_reply('VERSION ' .. keys[1]
            .. ' was written by another version of Holdfast')
    end
    fence, mark, until_us, length_us, watched_us, queued_us = struct.unpack('>dddddd', register, 2)
end
local window_us, has_forgotten = until_us - now_us,
    string.sub(register, 50) ~= arguments[1]
watched_us, queued_us = watched_us - now_us, queued_us - now_us
if has_forgotten then
    mark, length_us = fence, recovery_window_us
end
if has_forgotten or window_us > length_us then
    window_us = length_us
    local done = try('SET', keys[1], '\1' .. struct.pack('>dddddd', fence, mark, now_us + window_us, window_us,
        now_us + watched_us, now_us + queued_us) .. arguments[1])
    if has_forgotten and done.ok then
        try('PUBLISH', 'holdfast:forgotten', '')
    end
end
local is_recovering = window_us > 0
-- Written again when a quarter of it is used up, not with every call.
if watch_us > 0 and watched_us < watch_us * 3 / 4 then
    watched_us = watch_us
    try('SETRANGE', keys[1], '33', struct.pack('>d', now_us + watch_us))
end
if #keys == 1 then
    return {now_us, is_recovering and window_us or 0}
end

-- Reserves a fence for every grant before any is made: this is the first write of the call, so
-- where Redis is out of memory it is refused here and nothing has to be undone.
local next_fence, refusal = math.max(fence + 1, now_us), nil
if acquires > 0 and not is_recovering then
    fence = next_fence + (acquires - 1) -- in this order: next_fence + acquires may not be exact
    if not (fence < number_limit) then
        refusal = 'EXHAUSTED'
    else
        local done = try('SETRANGE', keys[1], '1', struct.pack('>d', fence))
        if type(done) == 'table' then
            local _, word = failure(keys[1], done)
            refusal = word
        end
    end
end

