-- SPDX-License-Identifier: Apache-2.0
-- The loop. Each operation runs under pcall, so that one bad key answers for itself alone.
--
-- Safe to run twice because every operation is, and because fences that were reserved and not used
-- are skipped.

-- Nothing is done before the whole call is known to be well-formed. Returns the number of grants
-- asked for, or nil.
local function count_acquires()
    local acquires, at = 0, 4
    for _ = 2, #keys do
        local word = arguments[at]
        local verb = verbs[word or '']
        if not verb then
            return nil
        end
        if word == 'ACQUIRE' then
            acquires = acquires + 1
        end
        at = at + 1 + verb.arguments
    end
    if at ~= #arguments + 1 then
        return nil
    end
    return acquires
end

local function failure(key, problem)
    local word = error_word(problem)
    if word == 'WRONGTYPE' then
        return 'WRONG_TYPE', call('TYPE', key).ok
    end
    return 'ERROR', word
end

local not_after_us, recovery_window_us = tonumber(arguments[2]), tonumber(arguments[3])
local acquires = count_acquires()
if not (not_after_us and recovery_window_us and acquires) then
    return redis.error_reply('ERR malformed batch')
end

local reply = {now_us}
if now_us > not_after_us then
    for i = 2, #keys do
        reply[i] = 'EXPIRED'
    end
    return reply
end

local problem = open_register(arguments[1], recovery_window_us)
if problem then
    return redis.error_reply(problem)
end
if acquires > 0 and register.window_us == 0 then
    reserve_fences(acquires)
end

local size, at = 1, 4
for i = 2, #keys do
    local verb = verbs[arguments[at]]
    local is_done, word, a, b, c, d, e = pcall(verb.run, keys[i], at + 1)
    if not is_done then
        word, a = failure(keys[i], word)
    end
    -- The fields end at the first nil.
    reply[size + 1], reply[size + 2] = word, a
    if b ~= nil then
        reply[size + 3], reply[size + 4], reply[size + 5], reply[size + 6] = b, c, d, e
    end
    size = #reply
    at = at + 1 + verb.arguments
end
return reply
