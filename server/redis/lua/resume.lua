-- SPDX-License-Identifier: Apache-2.0
-- RESUME: makes a lock that is held under a token ours, whoever's it was.
--
-- KEYS   the lock
-- ARGV   S; tenure (16 bytes), token (16), px_ms
-- Reply  OK, flags (0, or 4 for SHARED), fence, since_ms, label, value
--        NOT_HELD
--        RECOVERING, remaining_us: Redis has forgotten; what it has may be older than what it lost
--
-- Safe to run twice: the token stays, so that the second run finds what the first one did.
local resume
if others > 0 then
    resume = function(key, _, tenure, token, px_ms)
        if is_recovering then
            return 'RECOVERING', window_us
        end
        local record, is_shared = try('GETRANGE', key, '0', value_end), false
        if type(record) == 'table' then
            is_shared = make_more().must_look(key) == 'zset'
            record = is_shared and more.record(key, token) or ''
        end
        local flags, held_fence, since_ms, label = parse(record)
        if not flags or flags >= 2 or token == string.rep('\0', 16)
            or string.sub(record, 19, 34) ~= token then
            return 'NOT_HELD'
        end
        if is_shared then
            more.put(key, token, '\1' .. tenure .. string.sub(record, 18),
                more.later(key, token, more.until_us(px_ms)))
        else
            call('SETRANGE', key, '1', tenure)
            extend(key, px_ms)
        end
        if string.sub(record, 2, 17) ~= tenure then
            changed(key)
        end
        return 'OK', is_shared and 4 or 0, held_fence, since_ms, label,
            string.sub(record, 52 + #label)
    end
end

