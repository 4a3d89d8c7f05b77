-- SPDX-License-Identifier: Apache-2.0
-- The loop. Each operation runs under pcall, so that one bad key answers for itself alone.
--
-- Safe to run twice because every operation is, and because fences that were reserved and not used
-- are skipped.
local run = {ACQUIRE = acquire, RENEW = renew, RELEASE = release, INSPECT = inspect}
local size, at = 1, 4
for i = 2, #keys do
    local verb = arguments[at]
    local is_done, word, a, b, c, d, e = pcall(run[verb], keys[i], at + 1)
    if not is_done then
        word, a = failure(keys[i], word)
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
        reply[size + 1], reply[size + 2], reply[size + 3] = c, d, e
        size = size + 3
    end
    at = at + width[verb]
end
return reply
