-- SPDX-License-Identifier: Apache-2.0
-- RENEW: restores the ttl of a lock that is ours, and writes through who holds it by now.
--
-- KEYS   the lock
-- ARGV   N and its options: none for an EXCLUSIVE lock without the others, or mode (1 byte: 0
--        EXCLUSIVE, 1 SHARED), fence_block (4, big-endian); record (as it is to be, flags 0), px_ms.
--        The fence 0 in the record says that the caller does not know it.
-- Reply  OK; to the fence 0 with the fence; with a fence_block also fence_end (0: none reserved),
--        waiting (others)
--        NOT_HELD
--
-- The record is written if its fence is above the stored one; only then may the ttl become shorter,
-- of which the first in the queue is told, who knows by it when to ask. Where Redis is out of memory it is not,
-- and the ttl is restored all the same; the next run will do it.
--
-- In the recovery window a lock that is missing is created again if its fence is above the mark:
-- then this Redis never saw the grant. At or below the mark it was deleted, and is lost.
--
-- Safe to run twice: it leaves the same record, and the ttl counts from the newest run.
local renew
if renews > 0 then
    local function fence_of(record)
        local high, low = struct.unpack('>I4I4', record, 35)
        return high * 4294967296 + low
    end

    -- Sees to it that no later grant is below the given fence; whether it could.
    local function raise(given)
        if given <= fence then
            return true
        end
        local end_fence = given + acquires
        if not (end_fence < number_limit) then
            end_fence, refusal = given, 'EXHAUSTED'
        end
        if type(try('SETRANGE', keys[1], '1', struct.pack('>d', end_fence))) == 'table' then
            return false
        end
        fence, next_fence = end_fence, given + 1
        return true
    end

    local function renewed(key, wanted, stored, block)
        if wanted == 0 and block == 0 then
            return 'OK', stored
        elseif block == 0 then
            return 'OK'
        end
        local end_fence, waiting = make_more().block(key, math.max(wanted, stored), block)
        if wanted == 0 then
            return 'OK', stored, end_fence, waiting
        end
        return 'OK', end_fence, waiting
    end

    -- What to write over the record that is found, or nil.
    local function through(found, record, wanted)
        if wanted > fence_of(found) and wanted < number_limit and raise(wanted) then
            return string.sub(record, 1, 17) .. string.sub(found, 18, 18) .. string.sub(record, 19)
        end
    end

    renew = function(key, options, record, px_ms)
        local found = try('GETRANGE', key, '0', '41')
        if found == string.sub(record, 1, 42) and options == '' then
            extend(key, px_ms)
            return 'OK'
        end
        local mode, block = 0, 0
        if options ~= '' then
            mode, block = struct.unpack('>BI4', options)
        end
        local owner, wanted = string.sub(record, 1, 17), fence_of(record)
        local token, is_missing = string.sub(record, 19, 34), false
        if type(found) == 'table' then
            local kind = make_more().must_look(key)
            local held = kind == 'zset' and more.record(key, token)
            if held and string.sub(held, 1, 17) == owner then
                local stored, written = fence_of(held), through(held, record, wanted)
                local until_us = more.until_us(px_ms)
                local later_us = more.later(key, token, until_us)
                more.put(key, token, written, written and until_us or later_us)
                if written and until_us < later_us then
                    more.tell_first(key)
                end
                if written then
                    changed(key)
                end
                return renewed(key, wanted, stored, block)
            end
            is_missing = kind == 'none' or (mode == 1 and not held)
        elseif #found == 42 and string.sub(found, 1, 17) == owner then
            local stored, written = fence_of(found), through(found, record, wanted)
            if written then
                local left_ms = queued_us > 0 and call('PTTL', key) or 0
                if try('SET', key, written, 'PX', px_ms).err then
                    written = nil
                else
                    changed(key)
                    if left_ms > tonumber(px_ms) then
                        make_more().tell_first(key)
                    end
                end
            end
            if not written then
                extend(key, px_ms)
            end
            return renewed(key, wanted, stored, block)
        else
            is_missing = found == '' and call('EXISTS', key) == 0
        end
        if not (is_recovering and is_missing) or wanted <= mark or wanted >= number_limit then
            return 'NOT_HELD'
        end
        if not raise(wanted) then
            return 'ERROR', 'OOM'
        end
        if mode == 1 then
            make_more().put(key, token, record, more.until_us(px_ms))
        else
            call('SET', key, record, 'PX', px_ms)
            make_more().note_queue(key)
        end
        changed(key)
        return renewed(key, wanted, wanted, block)
    end
end

