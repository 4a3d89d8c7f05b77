-- SPDX-License-Identifier: Apache-2.0
-- INSPECT: tells who holds a lock.
--
-- KEYS   the lock
-- ARGV   I
-- Reply  FREE, waiting (servers in the queue)
--        HELD, who holds it (head.lua), waiting, value
--
-- Safe to run twice: it only reads.
local inspect
if others > 0 then
    inspect = function(key)
        local waiting = queued_us > 0 and call('ZCARD', beside('queue', key)) or 0
        local record, word = try('GETRANGE', key, '0', value_end), nil
        local flags, holders, held_fence, since_ms, remaining_ms, label
        if type(record) == 'table' then
            word, flags, holders, held_fence, since_ms, remaining_ms, label, record =
                make_more().shared_holder('HELD', key)
        elseif record ~= '' or call('EXISTS', key) == 1 then
            word, flags, holders, held_fence, since_ms, remaining_ms, label =
                holder('HELD', key, record)
        end
        if not word then
            return 'FREE', waiting
        end
        local is_foreign = flags % 2 == 1
        return word, flags, holders, held_fence, since_ms, remaining_ms, label, waiting,
            is_foreign and '' or string.sub(record, 52 + #label)
    end
end

