-- SPDX-License-Identifier: Apache-2.0
-- The loop, from where plain.lua left it. Each operation runs under pcall, so that one bad key
-- answers for itself alone.
--
-- Safe to run twice because every operation is, and because fences that were reserved and not used
-- are skipped.
for i = first, #keys do
    local letter, options, width, one, two, three = told(at)
    local run = letter == 65 and acquire or letter == 82 and release or letter == 78 and renew
        or letter == 73 and inspect or resume
    local is_done, word, a, b, c, d, e, f, g, h = pcall(run, keys[i], options, one, two, three)
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
