-- SPDX-License-Identifier: Apache-2.0
-- ACQUIRE: takes a lock if it may be had, or is already ours; else waits for it if that is wanted.
--
-- KEYS   the lock
-- ARGV   A and its options: none for EXCLUSIVE without the others, or mode (1 byte: 0 EXCLUSIVE, 1
--        SHARED), wants_queue (1), limit (4, big-endian, like these), fence_block (4), grant_ms (4:
--        how long the queue may give it for); head (version, tenure, flags 0, token: 34 bytes), tail
--        (label length, label, value), px_ms (how long it is held)
-- Reply  its fence alone, a number: granted now; without a fence_block only
--        OK, fence, since_ms; with a fence_block also fence_end (0: none reserved), waiting (others)
--        BUSY or QUEUED, and who holds it (head.lua)
--        RECOVERING, remaining_us: to be had, but Redis has forgotten and its holder may come back
--
-- A SHARED lock is not to be had past a queue whose head is somebody else; the head is served first
-- if it may be. An EXCLUSIVE one that is found free was lost by its holder, and who comes first has
-- it: to look at the queue would cost every lock, and who waits comes at that moment too.
--
-- Safe to run twice: a lock that is ours by tenure is answered with the fence it has, and its ttl
-- starts anew unless that would shorten it. This is also how a lock given by the queue is confirmed:
-- its record, which names nobody yet, is written then. Who is in the queue keeps the place.
local acquire
if acquires > 0 then
    -- Its holder's record as the caller wants it, but for the fence, since when, and the flag.
    local function rewritten(head, flags, value, tail)
        return string.sub(head, 1, 17) .. string.char(flags) .. string.sub(head, 19)
            .. string.sub(value, 35, 50) .. tail
    end

    local function wait(key, head, options)
        local mode, wants_queue, limit, _, grant_ms = struct.unpack('>BBI4I4I4', options)
        if wants_queue == 0 then
            return false
        end
        more.enqueue(key, '\1' .. string.sub(head, 2, 17) .. string.sub(head, 19)
            .. struct.pack('>BI4I4', mode, limit, grant_ms))
        return true
    end

    local function acquire_shared(key, head, tail, px_ms, options)
        local token, until_us = string.sub(head, 19), more.until_us(px_ms)
        local _, _, limit = struct.unpack('>BBI4', options)
        local is_served = false
        while true do
            local kind, count = more.must_look(key)
            local record = kind == 'zset' and more.record(key, token)
            if record and string.sub(record, 1, 17) == string.sub(head, 1, 17) then
                local flags, held_fence, since_ms = parse(record)
                if flags then
                    local written = rewritten(head, flags, record, tail)
                    more.put(key, token, written, more.later(key, token, until_us))
                    if written ~= record then
                        changed(key)
                    end
                    return more.granted(key, head, options, held_fence, since_ms)
                end
            end
            if kind == 'string' or record or (limit > 0 and count >= limit) then
                break
            end
            if is_recovering then
                return 'RECOVERING', window_us
            elseif refusal then
                return 'ERROR', refusal
            end
            local first = queued_us > 0 and call('ZRANGE', beside('queue', key), '0', '0')[1]
            local entry = first and call('HGET', beside('entries', key), first)
            if not first or (entry and string.sub(entry, 2, 17) == string.sub(head, 2, 17)) then
                local given = next_fence
                next_fence = given + 1
                more.put(key, token, head .. struct.pack('>I4I4I4I4', given / 4294967296,
                    given % 4294967296, now_ms / 4294967296, now_ms % 4294967296) .. tail, until_us)
                changed(key)
                return more.granted(key, head, options, given, now_ms)
            end
            if is_served then
                if kind == 'none' then
                    return 'ERROR', 'EXHAUSTED'
                end
                break
            end
            is_served = true
            if more.serve(key) then
                changed(key)
            end
        end
        local word = wait(key, head, options) and 'QUEUED' or 'BUSY'
        local value = try('GETRANGE', key, '0', label_end)
        if type(value) == 'string' then
            local flags = parse_part(key, value)
            if word == 'QUEUED' and flags then
                more.set_contended(key)
            end
            return holder(word, key, value)
        end
        -- As far as the label; the record after it is INSPECT's.
        local told, flags, holders, held_fence, since_ms, remaining_ms, label =
            more.shared_holder(word, key)
        return told, flags, holders, held_fence, since_ms, remaining_ms, label
    end

    acquire = function(key, options, head, tail, px_ms)
        if string.byte(options) == 1 then
            make_more()
            return acquire_shared(key, head, tail, px_ms, options)
        end
        local is_open = not (is_recovering or refusal)
        if is_open then
            local stamp = struct.pack('>I4I4I4I4', next_fence / 4294967296, next_fence % 4294967296,
                now_ms / 4294967296, now_ms % 4294967296)
            if call('SET', key, head .. stamp .. tail, 'PX', px_ms, 'NX') then
                local given = next_fence
                next_fence = given + 1
                if watched_us > 0 then
                    changed(key)
                end
                return make_more().granted(key, head, options, given, now_ms)
            end
        end
        local value = try('GETRANGE', key, '0', label_end)
        if type(value) == 'table' then
            if make_more().must_look(key) == 'none' then
                return acquire(key, options, head, tail, px_ms) -- its holders have all ended
            end
            local word = options ~= '' and wait(key, head, options) and 'QUEUED' or 'BUSY'
            local told, flags, holders, held_fence, since_ms, remaining_ms, label =
                more.shared_holder(word, key)
            return told, flags, holders, held_fence, since_ms, remaining_ms, label
        end
        local held_flags, held_fence, since_ms = parse_part(key, value)
        if held_flags and string.sub(value, 1, 17) == string.sub(head, 1, 17) then
            if string.sub(value, 19, 34) == string.rep('\0', 16) then
                local written = rewritten(head, held_flags, value, tail)
                local done = try('SET', key, written, 'PX', longer(key, px_ms))
                if done.err then
                    error(done)
                end
                changed(key)
            else
                extend(key, px_ms)
            end
            return make_more().granted(key, head, options, held_fence, since_ms)
        end
        if is_open or value ~= '' or call('EXISTS', key) == 1 then
            if string.byte(options, 2) ~= 1 then
                return holder('BUSY', key, value)
            end
            make_more()
            wait(key, head, options)
            if held_flags then
                more.set_contended(key)
            end
            return holder('QUEUED', key, value)
        end
        if is_recovering then
            return 'RECOVERING', window_us
        end
        return 'ERROR', refusal
    end
end

