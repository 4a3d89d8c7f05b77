-- SPDX-License-Identifier: Apache-2.0
-- A SHARED lock: a sorted set of its holders' tokens, by the time they end (in microseconds), and
-- beside it a hash of their records. Both expire with the last of them. A sorted set without that
-- hash is another program's. Who ended is taken out by whoever looks.
local function shared_part()
    -- Whether a sorted set is a lock.
    function more.is_ours(key)
        local first = call('ZRANGE', key, '0', '0')[1]
        return first and #first == 16 and call('HEXISTS', beside('holders', key), first) == 1
    end

    -- What is under the lock's name: none, string, zset (ours), or nil for anything else; and how
    -- many hold it.
    function more.look(key)
        local kind = call('TYPE', key).ok
        if kind == 'none' then
            return 'none', 0
        elseif kind == 'string' then
            return 'string', 1
        elseif kind ~= 'zset' then
            return nil
        end
        if not more.is_ours(key) then
            return nil
        end
        local holders = beside('holders', key)
        local ended = call('ZRANGEBYSCORE', key, '-inf', digits(now_us), 'LIMIT', '0', '1000')
        if #ended > 0 then
            call('ZREM', key, unpack(ended))
            call('HDEL', holders, unpack(ended))
        end
        local count = call('ZCOUNT', key, '(' .. digits(now_us), '+inf')
        if count == 0 then
            call('DEL', key, holders)
            return 'none', 0
        end
        return 'zset', count
    end

    -- Likewise, for operations that cannot do with anything else.
    function more.must_look(key)
        local kind, count = more.look(key)
        if not kind then
            error({err = 'WRONGTYPE'})
        end
        return kind, count
    end

    -- Whether a queue's head may have the lock. A holder of the same token that is not ours any more
    -- is in its way.
    function more.admits(key, mode, limit, token)
        local kind, count = more.look(key)
        return kind == 'none' or (kind == 'zset' and mode == 1 and (limit == 0 or count < limit)
            and not call('ZSCORE', key, token))
    end

    local function expire(key)
        local latest = call('ZRANGE', key, '-1', '-1', 'WITHSCORES')[2]
        if latest then
            local at_ms = digits(math.ceil(tonumber(latest) / 1000))
            call('PEXPIREAT', key, at_ms)
            call('PEXPIREAT', beside('holders', key), at_ms)
        end
    end

    -- Writes a holder, or only how long it holds when the record is nil: that must not fail where
    -- Redis is out of memory, so it begins with a write that never does.
    function more.put(key, token, record, until_us)
        local holders = beside('holders', key)
        if not record then
            expire(key)
        else
            if call('EXISTS', key) == 0 then
                call('DEL', holders) -- what an expired lock may have left
            end
            call('HSET', holders, token, record)
        end
        call('ZADD', key, digits(until_us), token)
        expire(key)
    end

    function more.take_out(key, token)
        call('ZREM', key, token)
        call('HDEL', beside('holders', key), token)
        expire(key)
    end

    -- The record of a holder; false when there is none. After look().
    function more.record(key, token)
        return call('HGET', beside('holders', key), token)
    end

    -- When a ttl that begins now ends.
    function more.until_us(px_ms)
        local number = tonumber(px_ms)
        if not number or number < 1 then
            error({err = 'ERR invalid expire time'})
        end
        return now_us + number * 1000
    end

    -- Likewise, but never before a holder ends already.
    function more.later(key, token, until_us)
        return math.max(until_us, tonumber(call('ZSCORE', key, token)) or 0)
    end

    -- Who holds a SHARED lock, and that holder's record; nil when it is free. It only reads.
    function more.shared_holder(word, key)
        local after = '(' .. digits(now_us)
        if not more.is_ours(key) then
            error({err = 'WRONGTYPE'})
        end
        local first = call('ZRANGEBYSCORE', key, after, '+inf', 'WITHSCORES', 'LIMIT', '0', '1')
        if not first[1] then
            return nil
        end
        local record = more.record(key, first[1]) or ''
        local remaining_ms = math.ceil((tonumber(first[2]) - now_us) / 1000)
        local count = call('ZCOUNT', key, after, '+inf')
        local flags, held_fence, since_ms, label = parse(record)
        if not flags then
            return word, 5, count, 0, 0, remaining_ms, ''
        end
        return word, flags >= 2 and 6 or 4, count, held_fence, since_ms, remaining_ms, label, record
    end
end

local function make_more()
    if not more then
        more = {}
        queue_part()
        shared_part()
    end
    return more
end

