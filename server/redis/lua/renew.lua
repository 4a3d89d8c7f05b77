-- SPDX-License-Identifier: Apache-2.0
-- RENEW: restores the ttl of a lock that is ours.
--
-- KEYS   the lock
-- ARGV   value (as ACQUIRE wrote it, label and all), fence (the one in it), ttl_ms
-- Reply  OK | NOT_HELD
--
-- In the recovery window a lock that is missing is created again if its fence is above the mark:
-- then this Redis never saw the grant. At or below the mark it was deleted, and is lost.
--
-- Safe to run twice: it leaves the same value, and the ttl counts from the newest run.
verbs.RENEW = {arguments = 3, run = function(key, at)
    local value, ttl_ms = arguments[at], arguments[at + 2]
    local found = call('GETRANGE', key, '0', owner_end)
    if found == sub(value, 1, owner_size) then
        call('PEXPIRE', key, ttl_ms)
        return 'OK'
    end
    local fence = tonumber(arguments[at + 1])
    if register.window_us == 0 or fence <= register.mark or fence >= limit or found ~= ''
        or call('EXISTS', key) == 1 then
        return 'NOT_HELD'
    end
    raise_register(fence)
    call('SET', key, value, 'PX', ttl_ms)
    return 'OK'
end}

