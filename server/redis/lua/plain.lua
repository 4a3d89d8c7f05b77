-- SPDX-License-Identifier: Apache-2.0
-- How long a lock is to live from now on: a command that comes late must not cut short what a later
-- one gave; only a new grant may. Most ttls are the same, so the last one is kept as a number.
local kept_text, kept_ms
local function longer(key, px_ms)
    if px_ms ~= kept_text then
        kept_text, kept_ms = px_ms, tonumber(px_ms)
    end
    local left_ms = call('PTTL', key)
    return left_ms > kept_ms and digits(left_ms) or px_ms
end

-- What the arguments say from there on: the verb's letter and its options, its own arguments, and
-- how many they are altogether.
local function told(from)
    local verb = arguments[from]
    local length, letter = #verb, string.byte(verb)
    if length == 34 then
        return 65, '', 1, verb, arguments[4], digits(px_ms)
    elseif length == 18 then
        return 82, '', 1, verb
    elseif length > 50 then
        return 78, '', 1, verb, digits(px_ms)
    end
    local width = (letter == 82 and 2) or (letter == 78 and 3) or (letter == 73 and 1) or 4
    return letter, string.sub(verb, 2), width, arguments[from + 1], arguments[from + 2],
        arguments[from + 3]
end

-- What is plain, in a row from where rows.lua left it: an EXCLUSIVE lock that is taken while it is
-- free, renewed or released by its owner, with nobody waiting. The same as the operations' own files
-- do, without a function; what is not plain, or goes wrong, is left to them from there on.
local at = first + 3
local since = acquires > 0 and struct.pack('>I4I4', now_ms / 4294967296, now_ms % 4294967296)
while first <= #keys do
    local letter, options, width, a, b, c = told(at)
    local key, result = keys[first], nil
    if letter == 65 then
        if not (is_recovering or refusal) and (options == '' or (string.byte(options) == 0
                and string.sub(options, 7, 10) == '\0\0\0\0'))
            and (queued_us <= 0 or call('EXISTS', beside('queue', key)) == 0) then
            -- In halves, for servers whose integers have 32 bits; what they leave of a fraction is
            -- cut.
            local done = try('SET', key, a
                .. struct.pack('>I4I4', next_fence / 4294967296, next_fence % 4294967296) .. since
                .. b, 'PX', c, 'NX')
            if done and done.ok then
                result, next_fence = next_fence, next_fence + 1
            end
        end
    elseif letter == 82 then
        if try('GETRANGE', key, '0', '17') == a and (options == ''
            or (string.sub(options, 2, 5) == '\0\0\0\0' and (string.byte(options) == 0
                or (string.byte(options) == 1
                    and (queued_us <= 0 or call('EXISTS', beside('queue', key)) == 0)))))
            and try('DEL', key) == 1 then
            result = 'OK'
        end
    elseif letter == 78 and options == ''
        and try('GETRANGE', key, '0', '41') == string.sub(a, 1, 42)
        and try('PEXPIRE', key, longer(key, b)) == 1 then
        result = 'OK'
    end
    if not result then
        break
    end
    if watched_us > 0 and letter ~= 78 then
        try('PUBLISH', 'holdfast:lock:' .. key, '')
    end
    size, at, first = size + 1, at + width, first + 1
    reply[size] = result
end
if first > #keys then
    return reply
end

-- Tells who watches that a lock has changed hands; costs nothing when nobody does.
local function changed(key)
    if watched_us > 0 then
        try('PUBLISH', 'holdfast:lock:' .. key, '')
    end
end

-- The fields of a record, or at least of all of it that comes before the value: flags, fence,
-- since_ms, label. nil when it is none.
local function parse(record)
    if #record < 51 or string.byte(record) ~= 1 then
        return nil
    end
    local flags, length = string.byte(record, 18), string.byte(record, 51)
    local fence_high, fence_low, since_high, since_low = struct.unpack('>I4I4I4I4', record, 35)
    local held_fence = fence_high * 4294967296 + fence_low
    local since_ms = since_high * 4294967296 + since_low
    if flags > 3 or length > 128 or #record < 51 + length or #record > 4275
        or held_fence >= number_limit or since_ms >= number_limit then
        return nil
    end
    return flags, held_fence, since_ms, string.sub(record, 52, 51 + length)
end

-- Likewise, of a string of which all that comes before the value, or more, was read.
local function parse_part(key, part)
    if #part == 179 and call('STRLEN', key) > 4275 then
        return nil
    end
    return parse(part)
end

-- Who holds a lock, a string of which as much was read.
local function holder(word, key, part)
    local remaining_ms = call('PTTL', key)
    local flags, held_fence, since_ms, label = parse_part(key, part)
    if not flags then
        return word, 1, 1, 0, 0, remaining_ms, ''
    end
    return word, flags >= 2 and 2 or 0, 1, held_fence, since_ms, remaining_ms, label
end

-- Restores a ttl. Always by a write, which a replica refuses.
local function extend(key, px_ms)
    call('PEXPIRE', key, longer(key, px_ms))
end

-- What only contended and SHARED locks need: a table of functions, made when one turns up.
local more

