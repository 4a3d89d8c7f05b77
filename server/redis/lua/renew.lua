-- SPDX-License-Identifier: Apache-2.0
-- RENEW: restores the ttl of a lock that is ours.
--
-- KEYS   the lock
-- ARGV   value (as ACQUIRE wrote it, label and all), fence (the one in it), ttl_ms
-- Reply  OK | NOT_HELD; for the fence 0, by which a caller says that it does not know: OK, fence
--
-- In the recovery window a lock that is missing is created again if its fence is above the mark:
-- then this Redis never saw the grant. At or below the mark it was deleted, and is lost.
--
-- Safe to run twice: it leaves the same value, and the ttl counts from the newest run.
local function renew(key, at)
    local value, ttl_ms = arguments[at], arguments[at + 2]
    local found = call('GETRANGE', key, '0', owner_end)
    if found == string.sub(value, 1, 17) then
        call('PEXPIRE', key, ttl_ms)
        if arguments[at + 1] == '0' then
            local high, low = struct.unpack('>I4I4', call('GETRANGE', key, '33', '40'))
            return 'OK', high * 4294967296 + low
        end
        return 'OK'
    end
    if not is_recovering or found ~= '' or call('EXISTS', key) == 1 then
        return 'NOT_HELD'
    end
    local lost_fence = tonumber(arguments[at + 1])
    if lost_fence <= mark or lost_fence >= limit then
        return 'NOT_HELD'
    end
    if lost_fence > fence then
        call('HSET', keys[1], 'fence', digits(lost_fence))
        fence = lost_fence
    end
    call('SET', key, value, 'PX', ttl_ms)
    return 'OK'
end

