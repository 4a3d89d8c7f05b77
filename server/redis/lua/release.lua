-- SPDX-License-Identifier: Apache-2.0
-- RELEASE: gives up a lock that is ours, and leaves its queue; or only the latter. The first who
-- waits for it has it then (queue.lua).
--
-- KEYS   the lock
-- ARGV   R and its options: none for an EXCLUSIVE lock without the others, or leaves (1 byte: 1
--        the queue, too, 2 the queue alone, and keeps the lock), lock_delay_ms (4, big-endian:
--        close the lock for so long instead of freeing it), token (16); owner (version, tenure,
--        flags 0: 18 bytes)
-- Reply  OK | NOT_HELD; OK to who keeps the lock
--
-- Nothing that goes wrong in serving the queue changes the answer.
--
-- Safe to run twice: the second run finds the lock free, closed or another's, and leaves it alone.
local release
if releases > 0 then
    -- The record of a lock that is nobody's until a delay is over.
    local function closed(record, flags)
        local _, _, _, label = parse(record)
        label = label or ''
        return '\1' .. string.rep('\0', 16) .. string.char(flags % 2 + 2) .. string.rep('\0', 16)
            .. string.sub(record, 35, 50) .. string.char(#label) .. label
    end

    local function release_shared(key, owner, token, delay_ms)
        local record = more.record(key, token)
        if not record or string.sub(record, 1, 17) ~= string.sub(owner, 1, 17) then
            return false
        end
        if delay_ms > 0 then
            more.put(key, token, closed(record, 0), now_us + delay_ms * 1000)
        else
            more.take_out(key, token)
        end
        return true
    end

    local function served(key)
        local is_done, is_given = pcall(make_more().serve, key)
        return is_done and is_given
    end

    local function leave_only(key, tenure)
        if make_more().leave(key, tenure) and served(key) then
            changed(key)
        end
        return 'OK'
    end

    release = function(key, options, owner)
        local found = try('GETRANGE', key, '0', '17')
        if found == owner and options == '' then
            call('DEL', key)
            if watched_us > 0 then
                changed(key)
            end
            return 'OK'
        end
        local leaves, delay_ms, token = 0, 0, string.sub(owner, 2, 17)
        if options ~= '' then
            leaves, delay_ms, token = struct.unpack('>BI4c16', options)
        end
        if leaves == 2 then
            return leave_only(key, string.sub(owner, 2, 17))
        end
        local is_ours, may_serve, kind = false, false, 'string'
        if type(found) == 'table' then
            kind = make_more().look(key)
            if kind == 'zset' then
                is_ours = release_shared(key, owner, token, delay_ms)
            end
            may_serve = is_ours
        elseif string.sub(found, 1, 17) == string.sub(owner, 1, 17) then
            is_ours, may_serve = true, string.byte(found, 18) % 2 == 1
            if delay_ms > 0 then
                local value = call('GETRANGE', key, '0', label_end)
                call('SET', key, closed(value, string.byte(found, 18)), 'PX', digits(delay_ms))
            else
                call('DEL', key)
            end
        end
        if leaves == 1 and queued_us > 0
            and make_more().leave(key, string.sub(owner, 2, 17)) then
            may_serve = true
        end
        local is_served = may_serve and served(key)
        if is_ours and delay_ms > 0 and queued_us > 0 then
            make_more().tell_first(key)
        end
        if is_ours or is_served then
            changed(key)
        end
        if not kind then
            error({err = 'WRONGTYPE'})
        end
        return is_ours and 'OK' or 'NOT_HELD'
    end
end

