-- SPDX-License-Identifier: Apache-2.0
-- RELEASE: frees a lock that is ours.
--
-- KEYS   the lock
-- ARGV   owner (version and tenure: 17 bytes)
-- Reply  OK | NOT_HELD
--
-- Safe to run twice: the second run finds the lock free, or another's, and leaves it alone.
local function release(key, at)
    if call('GETRANGE', key, '0', owner_end) ~= arguments[at] then
        return 'NOT_HELD'
    end
    call('DEL', key)
    return 'OK'
end

