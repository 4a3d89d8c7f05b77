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
local function acquire(key, at)
    local head, label, ttl_ms = arguments[at], arguments[at + 1], arguments[at + 2]
    local is_open = not (is_recovering or refusal)
    if is_open then
        -- In halves, for servers whose integers have 32 bits; what they leave of a fraction is cut.
        local stamp = struct.pack('>I4I4I4I4', next_fence / 4294967296, next_fence % 4294967296,
            now_ms / 4294967296, now_ms % 4294967296)
        if call('SET', key, head .. stamp .. label, 'PX', ttl_ms, 'NX') then
            next_fence = next_fence + 1
            return 'OK', next_fence - 1, now_ms
        end
    end
    local value = call('GETRANGE', key, '0', value_end)
    if string.sub(value, 1, 17) == string.sub(head, 1, 17) then
        local _, is_foreign, held_fence, since_ms = holder('BUSY', key, value)
        if is_foreign == 0 then
            call('PEXPIRE', key, ttl_ms)
            return 'OK', held_fence, since_ms
        end
    end
    if is_open or value ~= '' or call('EXISTS', key) == 1 then
        return holder('BUSY', key, value)
    end
    if is_recovering then
        return 'RECOVERING', window_us
    end
    return 'ERROR', refusal
end

