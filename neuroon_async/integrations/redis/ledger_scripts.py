"""The scripts of a ledger in Redis: each is one step of a run, and looks first whether the lock is still the run's."""

# KEYS of every script: lock, products, seen, missing, sending, doubts.  ARGV: the run's token, the lease and the
# lifetime of a request in milliseconds, then its own.
# Every answer but RELEASE's begins with 1, or is {0} where the lock is no longer this run's.
#
# A product's value is its digest (16 bytes) and the Unix time of its acknowledgement, with ":older" where an older
# attempt with the same content may still be processed; or, while the server's state is in doubt, "?sent" or
# "?sent:older": when the latest request with it was about to be sent (0: it has been answered). `older` is when a
# request was sent at the latest that was never answered. Both in Unix milliseconds. Versions before wrote "" for "?…".
# `sending` holds the time until when a run may have sent something that was never answered. `doubts` are those that
# outlive their products, because the shop was forgotten: product id → when its request was sent at the latest. They
# expire with the last of these requests, and go back to their product when that is sent again.
_GUARD = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end\n"

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

_READ_DOUBT = """
local function doubt(value)  -- when the latest request was sent, and when the older one; nothing where there is none
    if value == '' then return '', nil end
    local sent, older = string.match(value, '^%?(%d+):?(%d*)$')
    if not sent then sent, older = '0', string.match(value, '^%d+:(%d+)$', 17) end
    return tonumber(sent), tonumber(older)
end
"""

# Needs ARGV[4]: when this run began, and ARGV[5]: until when an earlier one may have sent something. A request of an
# earlier run may have left as late as that; one of this run that was never answered may have left just now.
_READ_LATEST = """
local began, earlier = tonumber(ARGV[4]), tonumber(ARGV[5])
local forgotten = redis.call('EXISTS', KEYS[6]) == 1
local function latest(id, value)  -- when a request with this product left at the latest that was never answered, or 0
    local sent, older = doubt(value)
    if sent == '' or (sent and sent >= began) then sent = now
    elseif sent and sent > 0 then sent = math.max(sent, earlier) end
    local kept = forgotten and redis.call('HGET', KEYS[6], id)
    return math.min(now, math.max(sent or 0, older or 0, kept and tonumber(kept) or 0))
end
"""

# Gives how many products there are, the time, and until when an earlier run may have sent something; or {0}, and in how
# many milliseconds the lock of another run ends.
TAKE = (
    _NOW
    + """
local held = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
if not held and redis.call('GET', KEYS[1]) ~= ARGV[1] then  -- it may be asked twice for one answer
    return {0, redis.call('PTTL', KEYS[1])}
end
return {1, redis.call('HLEN', KEYS[2]), string.format('%.0f', now), redis.call('GET', KEYS[5]) or '0'}
"""
)

KEEP = (
    _GUARD
    + _NOW
    + """
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for key = 3, 4 do redis.call('PEXPIRE', KEYS[key], 2 * ARGV[2]) end  -- these must outlive the lock
if redis.call('EXISTS', KEYS[5]) == 1 then redis.call('SET', KEYS[5], now + ARGV[2], 'PX', 2 * ARGV[2] + ARGV[3]) end
return {1}
"""
)

# ARGV: is something of this run in flight; until when an earlier run may have sent something.
RELEASE = (
    _NOW
    + """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('UNLINK', KEYS[1], KEYS[3], KEYS[4])
    local sent = tonumber(ARGV[5])
    if ARGV[4] == '1' then sent = now end
    if sent + ARGV[3] > now then
        redis.call('SET', KEYS[5], sent, 'PX', sent + ARGV[3] - now)
    else
        redis.call('UNLINK', KEYS[5])
    end
end
return {1}
"""
)

# ARGV: ids and their digests in turn. Gives the places of those that are recorded with exactly that content.
UNCHANGED = (
    _GUARD
    + """
local places = {1}
for i = 4, #ARGV, 2 do
    local value = redis.call('HGET', KEYS[2], ARGV[i])
    if value and #value > #ARGV[i + 1] and string.sub(value, 1, #ARGV[i + 1]) == ARGV[i + 1] then
        places[#places + 1] = (i - 4) / 2
    end
end
return places
"""
)

# ARGV: when this run began, until when an earlier one may have sent something, ids.
INVALIDATE = (
    _GUARD
    + _NOW
    + _READ_DOUBT
    + _READ_LATEST
    + """
for i = 6, #ARGV do
    local last = latest(ARGV[i], redis.call('HGET', KEYS[2], ARGV[i]) or ' ')
    local text = '?' .. string.format('%.0f', now)
    if last > now - ARGV[3] then text = text .. ':' .. string.format('%.0f', last) end
    redis.call('HSET', KEYS[2], ARGV[i], text)
    if forgotten then redis.call('HDEL', KEYS[6], ARGV[i]) end
end
redis.call('SET', KEYS[5], string.format('%.0f', now + ARGV[2]), 'PX', 2 * ARGV[2] + ARGV[3])
return {1}
"""
)

# ARGV: whether an earlier attempt was never answered, ids and their digests in turn. An older request counts whenever
# this one was sent: the clock may have been set back since, or be that of another node.
RECORD = (
    _GUARD
    + _NOW
    + _READ_DOUBT
    + """
local attempt = ARGV[4] == '1' and now or nil
for i = 5, #ARGV, 2 do
    local _, older = doubt(redis.call('HGET', KEYS[2], ARGV[i]) or ' ')
    local value = older and '?0' or ARGV[i + 1] .. time[1]
    older = attempt or older
    if older then value = value .. ':' .. string.format('%.0f', older) end
    redis.call('HSET', KEYS[2], ARGV[i], value)
end
return {1}
"""
)

# ARGV: ids.
ANSWERED = (
    _GUARD
    + _READ_DOUBT
    + """
for i = 4, #ARGV do
    local sent, older = doubt(redis.call('HGET', KEYS[2], ARGV[i]) or ' ')
    if sent ~= '' and sent > 0 then
        redis.call('HSET', KEYS[2], ARGV[i], older and '?0:' .. string.format('%.0f', older) or '?0')
    end
end
return {1}
"""
)

# ARGV: whether an earlier attempt was never answered, ids. What an older request may bring back, or an older attempt
# may delete once more after it has come back, stays in doubt.
FORGET = (
    _GUARD
    + _NOW
    + _READ_DOUBT
    + """
local attempt = ARGV[4] == '1' and now or nil
for i = 5, #ARGV do
    local _, older = doubt(redis.call('HGET', KEYS[2], ARGV[i]) or ' ')
    older = attempt or older
    if older then
        redis.call('HSET', KEYS[2], ARGV[i], '?0:' .. string.format('%.0f', older))
    else
        redis.call('HDEL', KEYS[2], ARGV[i])
    end
end
return {1}
"""
)

# ARGV: when this run began, until when an earlier one may have sent something, a cursor. Moves on by a portion of the
# products, and copies what was never answered to where it outlives them. Gives the next cursor.
KEEP_DOUBTS = (
    _GUARD
    + _NOW
    + _READ_DOUBT
    + _READ_LATEST
    + """
local page = redis.call('HSCAN', KEYS[2], ARGV[6], 'COUNT', 500)
for i = 1, #page[2], 2 do
    local last = latest(page[2][i], page[2][i + 1])
    if last > now - ARGV[3] then redis.call('HSET', KEYS[6], page[2][i], string.format('%.0f', last)) end
end
if redis.call('PTTL', KEYS[6]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[6], ARGV[3]) end
return {1, page[1]}
"""
)

# Gives how many products were forgotten.
FORGET_ALL = (
    _GUARD
    + """
local count = redis.call('HLEN', KEYS[2])
redis.call('UNLINK', KEYS[2])
return {1, count}
"""
)

# ARGV: how many ids the set holds at least, and ids to add. Gives how many it holds now, or -1 where it was not whole.
SEEN = (
    _GUARD
    + """
if redis.call('SCARD', KEYS[3]) < tonumber(ARGV[4]) then return {1, -1} end
for i = 5, #ARGV do redis.call('SADD', KEYS[3], ARGV[i]) end
redis.call('PEXPIRE', KEYS[3], 2 * ARGV[2])
return {1, redis.call('SCARD', KEYS[3])}
"""
)

# ARGV: a cursor, how many ids the set of seen ones holds at least. Moves on by a portion of the products, and keeps
# those not seen. Gives the next cursor, how many are missing so far, and whether the set was whole.
COMPARE = (
    _GUARD
    + """
if redis.call('SCARD', KEYS[3]) < tonumber(ARGV[5]) then return {1, '0', 0, 0} end
local page = redis.call('HSCAN', KEYS[2], ARGV[4], 'COUNT', 500)
for i = 1, #page[2], 2 do
    if redis.call('SISMEMBER', KEYS[3], page[2][i]) == 0 then redis.call('SADD', KEYS[4], page[2][i]) end
end
redis.call('PEXPIRE', KEYS[4], 2 * ARGV[2])
return {1, page[1], redis.call('SCARD', KEYS[4]), 1}
"""
)

# ARGV: how many. Should an answer be lost, what it held is merely found missing again by the next run.
NEXT_MISSING = _GUARD + "return {1, redis.call('SPOP', KEYS[4], ARGV[4])}"
