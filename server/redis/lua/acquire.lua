-- SPDX-License-Identifier: Apache-2.0
-- ACQUIRE: takes a lock if it is free.
--
-- KEYS   the lock
-- ARGV   head (version, tenure and token: 33 bytes), label, ttl_ms
-- Reply  OK, fence, since_ms
--        BUSY, is_foreign (0 or 1), fence, since_ms, remaining_ms (-1: for ever), label
--        RECOVERING, remaining_us: free, but Redis has forgotten and its holder may come back
--
-- Safe to run twice: a lock that is ours by tenure is answered with the fence it has; only its ttl
-- starts anew.
verbs.ACQUIRE = {arguments = 3, run = function(key, at)
    local head, label, ttl_ms = arguments[at], arguments[at + 1], arguments[at + 2]
    local is_open = register.window_us == 0 and not register.problem
    if is_open then
        local next_fence = register.next_fence
        local grant = head .. stamp(next_fence, now_ms) .. label
        if call('SET', key, grant, 'PX', ttl_ms, 'NX') then
            register.next_fence = next_fence + 1
            return 'OK', next_fence, now_ms
        end
    end
    local value = call('GETRANGE', key, '0', value_end)
    local fence, since_ms = read_value(value)
    if fence and sub(value, 1, owner_size) == sub(head, 1, owner_size) then
        call('PEXPIRE', key, ttl_ms)
        return 'OK', fence, since_ms
    end
    if is_open or value ~= '' or call('EXISTS', key) == 1 then
        return holder('BUSY', key, value)
    end
    if register.window_us > 0 then
        return 'RECOVERING', register.window_us
    end
    return 'ERROR', register.problem
end}

