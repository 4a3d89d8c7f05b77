-- SPDX-License-Identifier: Apache-2.0
-- The queue of a lock: the servers that wait for it. A sorted set of server ids by arrival (in
-- microseconds), and a hash of their entries: version (1 byte), tenure (16), token (16), mode (1: 0
-- EXCLUSIVE, 1 SHARED), limit (4, big-endian), how long a grant lasts in ms (4, big-endian). Both
-- expire together, a while after the holder they were made behind.
--
-- A lock that is freed goes to the first of them, who is told by PUBLISH to holdfast:server:<id>: the
-- tenure (16 bytes), then the lock's key. The message is a hint only; whom it finds confirms by an
-- ACQUIRE of that tenure.
local function queue_part()
    local function drop(key, server)
        call('ZREM', beside('queue', key), server)
        call('HDEL', beside('entries', key), server)
    end

    -- Tells the first in the queue to ask, so that it knows when the lock may be had: all the others
    -- wait behind it. Who does not hear of it is not there any more.
    function more.tell_first(key)
        local queue, entries = beside('queue', key), beside('entries', key)
        while queued_us > 0 do
            local server = call('ZRANGE', queue, '0', '0')[1]
            if not server then
                return
            end
            local entry = call('HGET', entries, server)
            local is_told = entry and try('PUBLISH', 'holdfast:server:' .. server,
                string.sub(entry, 2, 17) .. key) or 0
            if type(is_told) == 'table' or is_told > 0 then
                return
            end
            drop(key, server)
        end
    end

    -- Takes our entry out of the queue if it is for this tenure; whether it was.
    function more.leave(key, tenure)
        if queued_us <= 0 then
            return false
        end
        local entry = call('HGET', beside('entries', key), our_server)
        if not entry or string.sub(entry, 2, 17) ~= tenure then
            return false
        end
        local was_first = call('ZRANGE', beside('queue', key), '0', '0')[1] == our_server
        drop(key, our_server)
        if was_first then
            more.tell_first(key)
        end
        return true
    end

    -- How many other servers wait.
    function more.waiting(key)
        if queued_us <= 0 then
            return 0
        end
        local queue = beside('queue', key)
        return call('ZCARD', queue) - (call('ZSCORE', queue, our_server) and 1 or 0)
    end

    function more.set_contended(key)
        local flags = string.byte(call('GETRANGE', key, '17', '17'))
        if flags % 2 == 0 then
            call('SETRANGE', key, '17', string.char(flags + 1))
        end
    end

    -- Who asks again keeps the arrival. A stale flag in the register costs a look at the queue.
    function more.enqueue(key, entry)
        local queue, entries = beside('queue', key), beside('entries', key)
        local life_ms = call('PTTL', key)
        if life_ms < 0 or life_ms > 3600000 then
            life_ms = 3600000
        end
        life_ms = life_ms + 60000
        if queued_us < life_ms * 1000 then
            queued_us = (life_ms + 60000) * 1000
            call('SETRANGE', keys[1], '41', struct.pack('>d', now_us + queued_us))
        end
        call('ZADD', queue, 'NX', digits(now_us), our_server)
        call('HSET', entries, our_server, entry)
        if call('PTTL', queue) < life_ms or call('PTTL', entries) < life_ms then
            call('PEXPIRE', queue, life_ms)
            call('PEXPIRE', entries, life_ms)
        end
    end

    -- Moves the register so that `first` may be given, and after it what the rest of the call may
    -- need; whether it could.
    local function reserve(first)
        local end_fence = first + acquires
        if not (end_fence < number_limit)
            or type(try('SETRANGE', keys[1], '1', struct.pack('>d', end_fence))) == 'table' then
            return false
        end
        fence, next_fence = end_fence, first + 1
        return true
    end

    -- Gives the lock to the first in the queue, and the next while they are SHARED, for as long as
    -- it may be had, and tells who is first then; whether anybody got it. While
    -- Redis recovers the first is only told to ask; it will be answered how long to wait.
    function more.serve(key)
        local queue, entries = beside('queue', key), beside('entries', key)
        local is_changed, has_moved = false, false
        while queued_us > 0 do
            local server = call('ZRANGE', queue, '0', '0')[1]
            if not server then
                break
            end
            local entry, is_told = call('HGET', entries, server), 0
            if entry and #entry == 42 and string.byte(entry) == 1 then
                local tenure, token = string.sub(entry, 2, 17), string.sub(entry, 18, 33)
                local mode, limit, grant_ms = struct.unpack('>BI4I4', entry, 34)
                if not more.admits(key, mode, limit, token) then
                    break
                end
                local given = math.max(fence + 1, now_us)
                if not (is_recovering or reserve(given)) then
                    break
                end
                is_told = try('PUBLISH', 'holdfast:server:' .. server, tenure .. key)
                if type(is_told) == 'table' or (is_told > 0 and is_recovering) then
                    return is_changed
                end
                drop(key, server)
                has_moved = true
                if is_told > 0 then
                    is_changed = true
                    local stamp = struct.pack('>I4I4I4I4B', given / 4294967296, given % 4294967296,
                        now_ms / 4294967296, now_ms % 4294967296, 0)
                    if mode == 0 then
                        local flags = call('EXISTS', queue) == 1 and '\1' or '\0'
                        call('SET', key, '\1' .. tenure .. flags .. string.rep('\0', 16) .. stamp,
                            'PX', grant_ms)
                        break
                    end
                    more.put(key, token, '\1' .. tenure .. '\0' .. token .. stamp,
                        now_us + grant_ms * 1000)
                end
            else
                drop(key, server)
                has_moved = true
            end
        end
        if has_moved then
            more.tell_first(key)
        end
        return is_changed
    end

    -- An EXCLUSIVE lock's record says that somebody waits, where that is so.
    function more.note_queue(key)
        if queued_us > 0 and call('EXISTS', beside('queue', key)) == 1 then
            more.set_contended(key)
        end
    end

    -- What follows from a grant: its owner waits no more, and hears who does.
    function more.granted(key, head, options, held_fence, since_ms)
        local mode, block, _ = 0, 0, nil
        if options ~= '' then
            mode, _, _, block = struct.unpack('>BBI4I4', options)
        end
        local has_left = more.leave(key, string.sub(head, 2, 17))
        if mode == 0 then
            more.note_queue(key)
        elseif has_left and more.serve(key) then
            changed(key)
        end
        if block == 0 then
            return 'OK', held_fence, since_ms
        end
        return 'OK', held_fence, since_ms, more.block(key, held_fence, block)
    end

    -- Reserves fences above a grant's for its owner: the last of them, 0 when none could be; and how
    -- many others wait.
    function more.block(key, held_fence, block)
        local end_fence = math.max(fence, held_fence) + block
        if end_fence < number_limit
            and type(try('SETRANGE', keys[1], '1', struct.pack('>d', end_fence))) ~= 'table' then
            fence = end_fence
        else
            end_fence = 0
        end
        return end_fence, more.waiting(key)
    end
end

