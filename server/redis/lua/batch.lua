-- The loop. Each operation runs under pcall, so that one bad key answers for itself alone.
--
-- Safe to run twice because every operation is, and because fences that were reserved and not used
-- are skipped.

-- Nothing is done before the whole call is known to be well-formed. Returns the number of grants
-- asked for, or nil.
local function count_acquires()
    local acquires, at = 0, 4
    for _ = 2, #KEYS do
        local verb = verbs[ARGV[at] or '']
        if not verb then
            return nil
        end
        if ARGV[at] == 'ACQUIRE' then
            acquires = acquires + 1
        end
        at = at + 1 + verb.arguments
    end
    if at ~= #ARGV + 1 then
        return nil
    end
    return acquires
end

local function failure(key, problem)
    local word = error_word(problem)
    if word == 'WRONGTYPE' then
        return {'WRONG_TYPE', call('TYPE', key).ok}
    end
    return {'ERROR', word}
end

local not_after_us, recovery_window_us = tonumber(ARGV[2]), tonumber(ARGV[3])
local acquires = count_acquires()
if not (not_after_us and recovery_window_us and acquires) then
    return redis.error_reply('ERR malformed batch')
end

local reply = {now_us}
if now_us > not_after_us then
    for i = 2, #KEYS do
        reply[i] = expired
    end
    return reply
end

local problem = open_register(ARGV[1], recovery_window_us)
if problem then
    return redis.error_reply(problem)
end
if acquires > 0 and register.window_us == 0 then
    reserve_fences(acquires)
end

local at = 4
for i = 2, #KEYS do
    local verb = verbs[ARGV[at]]
    local is_done, result = pcall(verb.run, KEYS[i], at + 1)
    reply[i] = is_done and result or failure(KEYS[i], result)
    at = at + 1 + verb.arguments
end
return reply
