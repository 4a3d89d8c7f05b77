-- SPDX-License-Identifier: Apache-2.0
-- Rows: what is plain (plain.lua) and told in short, from the first operation on: renewals, then
-- releases, then acquires, with few commands for all of them, for a command costs more to call than
-- to run. What is not plain, or goes wrong, is left to plain.lua from there on.
--
-- PEXPIREAT knows GT, by which it does not cut short what a later command gave, since Redis 7, as
-- redis.acl_check_cmd; before that renewals have no rows.
local first = 2 -- the next operation's key; its argument is 3 further on
local size, told_to = 1, 2 -- of the reply, and up to which operation it tells
do
    local part, count, first_fence, last = string.sub, #keys, next_fence, first
    local has_ttl = px_ms >= 1 and (renews > 0 or acquires > 0)
    local ends_ms = has_ttl and digits(now_ms + px_ms) -- when a ttl that begins now is over

    while last <= count and #arguments[last + 3] > 50 do
        last = last + 1
    end
    if last > first and ends_ms and redis.acl_check_cmd then
        local found, ahead = try('MGET', unpack(keys, first, last - 1)), first - 1
        while first < last do
            local record, value = arguments[first + 3], found[first - ahead]
            if (value ~= record
                    and not (value and part(value, 1, 42) == part(record, 1, 42)))
                or try('PEXPIREAT', keys[first], ends_ms, 'GT') ~= 1 then
                break
            end
            first = first + 1
        end
    end

    last = first
    while last <= count and #arguments[last + 3] == 18 do
        last = last + 1
    end
    if last > first then
        local found, ahead, ours = try('MGET', unpack(keys, first, last - 1)), first - 1, first
        while ours < last do
            local value = found[ours - ahead]
            if not value or part(value, 1, 18) ~= arguments[ours + 3] then
                break
            end
            ours = ours + 1
        end
        local freed = ours > first and try('DEL', unpack(keys, first, ours - 1))
        if freed == ours - first then
            first = ours
        elseif type(freed) == 'number' then -- a lock stands there twice
            local is_free = {}
            if first > 2 then
                reply[2], size = 2 - first, 2
            end
            while first < ours do
                size, reply[size + 1] = size + 1, is_free[keys[first]] and 'NOT_HELD' or 'OK'
                is_free[keys[first]], first = true, first + 1
            end
            told_to = first
        end
        for i = ahead + 1, watched_us > 0 and first - 1 or 0 do
            try('PUBLISH', 'holdfast:lock:' .. keys[i], '')
        end
    end

    if first <= count and #arguments[first + 3] == 34 and ends_ms
        and queued_us <= 0 and not (is_recovering or refusal) then
        -- The fence's last byte apart, for most of a row have the others in common. In halves, for
        -- servers whose integers have 32 bits; what they leave of a fraction is cut.
        local char, low, high = string.char, 256, nil
        local rest = struct.pack('>I4I4', now_ms / 4294967296, now_ms % 4294967296) .. arguments[4]
        while first <= count and #arguments[first + 3] == 34 do
            if low > 255 then
                low, high = next_fence % 256, part(struct.pack('>I4I4', next_fence / 4294967296,
                    next_fence % 4294967296), 1, 7)
            end
            local done = try('SET', keys[first], arguments[first + 3] .. high .. char(low) .. rest,
                'NX', 'PXAT', ends_ms)
            if not (done and done.ok) then
                break
            end
            if watched_us > 0 then
                try('PUBLISH', 'holdfast:lock:' .. keys[first], '')
            end
            first, next_fence, low = first + 1, next_fence + 1, low + 1
        end
    end

    if first > told_to then
        size, reply[size + 1] = size + 1, told_to - first
        if next_fence > first_fence then
            size, reply[size + 1] = size + 1, first_fence
        end
    end
    if first > count then
        return reply
    end
end
