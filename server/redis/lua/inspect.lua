-- SPDX-License-Identifier: Apache-2.0
-- INSPECT: tells who holds a lock.
--
-- KEYS   the lock
-- ARGV   nothing
-- Reply  FREE
--        HELD, is_foreign (0 or 1), fence, since_ms, remaining_ms (-1: for ever), label
--
-- Safe to run twice: it only reads.
local function inspect(key)
    local value = call('GETRANGE', key, '0', value_end)
    if value == '' and call('EXISTS', key) == 0 then
        return 'FREE'
    end
    return holder('HELD', key, value)
end

