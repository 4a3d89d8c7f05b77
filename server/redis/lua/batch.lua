-- SPDX-License-Identifier: Apache-2.0
-- The loop, from where plain.lua left it. Each operation runs under pcall, so that one bad key
-- answers for itself alone.
--
-- Safe to run twice because every operation is, and because fences that were reserved and not used
-- are skipped.
for i = first, #keys do
    local verb, width, run = arguments[at], 5, acquire
    if verb == 'RELEASE' then
        width, run = 3, release
    elseif verb == 'RENEW' then
        width, run = 4, renew
    elseif verb == 'INSPECT' then
        width, run = 1, inspect
    elseif verb == 'RESUME' then
        width, run = 4, resume
    end
    local is_done, word, a, b, c, d, e, f, g, h = pcall(run, keys[i], at + 1)
    if not is_done then
        word, a, b, c = failure(keys[i], word)
    end
    -- The fields of a result end at the first nil.
    size = size + 1
    reply[size] = word
    if a ~= nil then
        size = size + 1
        reply[size] = a
    end
    if b ~= nil then
        size = size + 1
        reply[size] = b
    end
    if c ~= nil then
        for _, field in ipairs({c, d, e, f, g, h}) do
            size = size + 1
            reply[size] = field
        end
    end
    at = at + width
end
return reply
