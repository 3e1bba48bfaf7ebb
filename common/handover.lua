#!lua name=lambda_1
-- The hand-over between speed and batch, one partition per call (docs/redis.md: keys, arguments, replies).
-- The steps are those of the protocol's model: flush = f_flush, seal = f_seal, adopt = f_adopt.
--
-- Rules that hold everywhere here:
-- - everything is checked before the first write; a bad argument is the error ARGUMENT, nothing has changed;
-- - `writing` is set first and removed last by a flush: where it stands, a write broke off;
-- - amounts are texts: HSET writes them into a new chunk, only HINCRBY changes them, for Lua's numbers are
--   doubles; offsets, runs and times are below 2^53, where doubles are exact;
-- - a field that begins with ^ is a greatest value: a flush does not add to it, it raises it;
-- - chunks of customers (o:HOUR) hold texts, see merge();
-- - every flush touches the chunk `c`, so the highest version in a generation's index is its next offset.

local CODE = '@CODE@'         -- a sum of this file, put in when the programs are built: who flushes sees whose code it was
local MAX = 9007199254740992 -- 2^53
local SLICE = 500            -- arguments of one command: unpack() fails at some thousand
local LONG_DIGITS = ('%d'):rep(20)
local CUSTOMER_HOURS = 50    -- chunks of customers whose hour is longer ago are dropped: no window reaches there

-- A number from 0 to 2^53 - 1 in its one decimal form, or nil.
local function number(text)
	if not text or #text > 16 or not (text == '0' or text:find('^[1-9]%d*$')) then
		return nil
	end
	local n = tonumber(text)
	return n < MAX and n or nil
end

-- What HINCRBY takes: its one decimal form, within 64 bits.
local function is_delta(text)
	if text and #text < 19 and text:find('^%-?[1-9]%d*$') or text == '0' then
		return true -- nearly all
	end
	local sign, digits = (text or ''):match('^(%-?)([1-9]%d*)$')
	if not digits or #digits > 19 then
		return false
	end
	return #digits < 19 or digits <= (sign == '' and '9223372036854775807' or '9223372036854775808')
end

local function is_time(text)
	return text == '' or number((text or ''):match('^%-?(.+)$')) ~= nil
end

local function is_tail(text)
	local offset, hash = (text or ''):match('^(%d+) (%x+)$')
	return text == '' or (number(offset) ~= nil and #hash == 16)
end

local function is_chunk(name)
	return name == 'c' or number((name or ''):match('^[rpdo]:(.+)$')) ~= nil
end

-- What a customer did in some minutes of an hour: ;MMCURorders,gross_e4,refund_count,refunds_e4 of each
local function is_entries(text)
	return text ~= '' and text:gsub(';%d%d%u%u%u%d+,%d+,%d+,%d+', '') == '' and not text:find(LONG_DIGITS)
end

-- In a chunk of customers @CUSTOMER. Elsewhere anything but the header's name.
local function is_field(chunk, field)
	if chunk:byte() == 111 then -- o
		return field:byte() == 64 and #field > 1
	end
	return field ~= '' and field ~= '#'
end

local function is_value(chunk, field, value)
	if chunk:byte() == 111 then -- o
		return is_entries(value or '')
	end
	return is_delta(value) and (field:byte() ~= 94 or number(value) ~= nil) -- ^
end

local function is_fold(text)
	return text ~= nil and text ~= '' and #text < 160
end

local function is_base(text)
	return text ~= nil and text:find('{.+}') ~= nil
end

local function bad(what)
	return redis.error_reply('ARGUMENT ' .. what)
end

-- The state, nil when there is none. `generations` are tables of texts and numbers, oldest first.
local function load(base)
	local list = redis.call('HGETALL', base .. ':state')
	if #list == 0 then
		return nil
	end
	local state = { list = list, generations = {} }
	for i = 1, #list, 2 do
		state[list[i]] = list[i + 1]
	end
	for run, start, nxt in (state.gens or ''):gmatch('(%d+),(%d+),(%d+)') do
		table.insert(state.generations, { run = number(run), start = number(start), nxt = number(nxt),
			id = run, start_text = start, nxt_text = nxt })
	end
	state.open = state.generations[#state.generations]
	state.broken = state.writing ~= nil or state.open == nil
	return state
end

local function gens_text(generations)
	local texts = {}
	for i, g in ipairs(generations) do
		texts[i] = g.id .. ',' .. g.start_text .. ',' .. g.nxt_text
	end
	return table.concat(texts, ' ')
end

-- head..., then the state's fields and values as they stand in Redis now
local function reply(base, ...)
	local out = { ... }
	for _, text in ipairs(redis.call('HGETALL', base .. ':state')) do
		out[#out + 1] = text
	end
	return out
end

local function index_key(base, id)
	return base .. ':' .. id .. ':index'
end

local function chunk_key(base, id, chunk)
	return base .. ':' .. id .. ':' .. chunk
end

-- command(key of each chunk...) in slices; the sum of the replies
local function for_chunks(command, base, id, chunks)
	local sum = 0
	for first = 1, #chunks, SLICE do
		local keys = {}
		for i = first, math.min(first + SLICE - 1, #chunks) do
			keys[#keys + 1] = chunk_key(base, id, chunks[i])
		end
		sum = sum + redis.call(command, unpack(keys))
	end
	return sum
end

local function remove_generation(base, id)
	local index = index_key(base, id)
	for_chunks('UNLINK', base, id, redis.call('ZRANGE', index, 0, -1))
	redis.call('UNLINK', index)
	redis.call('HDEL', base .. ':state', 'cut:' .. id)
end

-- Does the index end where the generation does?
local function index_ends(base, g)
	local last = redis.call('ZRANGE', index_key(base, g.id), -1, -1, 'WITHSCORES')
	if g.nxt == g.start then
		return #last == 0
	end
	return #last == 2 and tonumber(last[2]) == g.nxt
end

local function is_whole(base, g)
	if not index_ends(base, g) then
		return false
	end
	local chunks = redis.call('ZRANGE', index_key(base, g.id), 0, -1)
	return for_chunks('EXISTS', base, g.id, chunks) == #chunks
end

-- flush -------------------------------------------------------------------------------------------

-- Parses what stands behind a flush's fixed arguments into { name, first, last }: where its fields stand.
local function flush_chunks(args, n)
	local chunks, at, names = {}, 10, {}
	for _ = 1, n do
		local name, n_fields = args[at], number(args[at + 1])
		if not is_chunk(name) or names[name] then
			return nil, 'chunk'
		end
		if not n_fields or at + 1 + 2 * n_fields > #args then
			return nil, 'n_fields'
		end
		names[name] = true
		local first = at + 2
		for i = first, first + 2 * n_fields - 1, 2 do
			if not is_field(name, args[i]) then
				return nil, 'field'
			end
			if not is_value(name, args[i], args[i + 1]) then
				return nil, 'delta'
			end
		end
		at = first + 2 * n_fields
		chunks[#chunks + 1] = { name = name, first = first, last = at - 1 }
	end
	if at ~= #args + 1 then
		return nil, 'count'
	end
	if not names.c then
		chunks[#chunks + 1] = { name = 'c', first = 1, last = 0 }
	end
	return chunks
end

local function check_lost(text, from, to)
	if text == '' then
		return true
	end
	local a, b = (text or ''):match('^(%d+)%-(%d+)$')
	a, b = number(a), number(b)
	return a ~= nil and b ~= nil and from <= a and a < b and b <= to
end

-- Every chunk that the index names must be there with the header of its version; others are leftovers.
local function flush_fits(base, g, chunks)
	if not index_ends(base, g) then
		return false
	end
	for _, chunk in ipairs(chunks) do
		chunk.key = chunk_key(base, g.id, chunk.name)
		local version = redis.call('ZSCORE', index_key(base, g.id), chunk.name)
		if version then
			if redis.call('HGET', chunk.key, '#') ~= g.id .. ' ' .. version then
				return false
			end
		else
			chunk.new = true
		end
	end
	return true
end

-- A chunk that is not there yet: the same values as by HINCRBY, in less than half of the time.
local function write_new(key, args, first, last)
	local added = 0
	redis.call('UNLINK', key)
	for from = first, last, SLICE do
		added = added + redis.call('HSET', key, unpack(args, from, math.min(from + SLICE - 1, last)))
	end
	if added * 2 ~= last - first + 1 then
		error('ARGUMENT field twice') -- breaks the write off: the partition starts again
	end
end

-- Values of a chunk that is there.
local function add(key, args, first, last)
	local call = redis.call
	for i = first, last, 2 do
		local field, value = args[i], args[i + 1]
		if field:byte() ~= 94 then -- ^
			call('HINCRBY', key, field, value)
		elseif tonumber(call('HGET', key, field) or 0) < tonumber(value) then
			call('HSET', key, field, value)
		end
	end
end

-- The entries of a customer, and more of them. Those of one minute and currency become one, so that the text is bounded;
-- only beyond 10^15, where Lua's numbers come to their end, they stand beside each other, and who reads adds them.
local function merge(entries, more)
	for bucket, o, g, c, r in more:gmatch(';(.....)(%d+),(%d+),(%d+),(%d+)') do
		local at = entries:find(';' .. bucket, 1, true)
		local o1, g1, c1, r1, behind = entries:match('^;.....(%d+),(%d+),(%d+),(%d+)()', at)
		if at and o1 and math.max(#o, #g, #c, #r, #o1, #g1, #c1, #r1) <= 15 then
			entries = entries:sub(1, at) .. bucket .. string.format('%.0f,%.0f,%.0f,%.0f', o + o1, g + g1,
				c + c1, r + r1) .. entries:sub(behind)
		else
			entries = entries .. ';' .. bucket .. o .. ',' .. g .. ',' .. c .. ',' .. r
		end
	end
	return entries
end

-- Values of a chunk of customers that is there: nearly always a customer's first ones in this hour.
local function merge_customers(key, args, first, last)
	for from = first, last, SLICE do
		local to, fields, values = math.min(from + SLICE - 1, last), {}, {}
		for i = from, to, 2 do
			fields[#fields + 1] = args[i]
		end
		for i, entries in ipairs(redis.call('HMGET', key, unpack(fields))) do
			local more = args[from + 2 * i - 1]
			values[2 * i - 1], values[2 * i] = fields[i], entries and merge(entries, more) or more
		end
		redis.call('HSET', key, unpack(values))
	end
end

local function flush_write(base, g, args, chunks, nxt)
	local index, header, call = index_key(base, g.id), g.id .. ' ' .. nxt, redis.call
	for _, chunk in ipairs(chunks) do
		local key = chunk.key
		if chunk.new then
			write_new(key, args, chunk.first, chunk.last)
		elseif chunk.name:byte() == 111 then -- o
			merge_customers(key, args, chunk.first, chunk.last)
		else
			add(key, args, chunk.first, chunk.last)
		end
		call('HSET', key, '#', header)
		redis.call('ZADD', index, nxt, chunk.name)
	end
end

local function flush(keys, args)
	local base, expected, nxt = keys[1], number(args[1]), number(args[2])
	local run, fold, n_chunks = args[3], args[4], number(args[9])
	if #keys ~= 1 or not is_base(base) then
		return bad('key')
	elseif not expected or not nxt or nxt <= expected then
		return bad('expected_next new_next')
	elseif run ~= '' and not number(run) then
		return bad('run')
	elseif not is_fold(fold) then
		return bad('fold')
	elseif not is_time(args[5]) or not is_time(args[6]) then
		return bad('latest_event latest_record')
	elseif not is_tail(args[7]) then
		return bad('tail')
	elseif not check_lost(args[8], expected, nxt) then
		return bad('lost')
	elseif not n_chunks then
		return bad('n_chunks')
	end
	local chunks, what = flush_chunks(args, n_chunks)
	if not chunks then
		return bad(what)
	end

	local key, state = base .. ':state', load(base)
	if not state then
		return { 'refused', 'empty' }
	elseif state.broken then
		return reply(base, 'refused', 'broken')
	elseif run ~= '' and number(run) ~= state.open.run then
		return reply(base, 'refused', 'run')
	elseif state.open.nxt ~= expected then
		return reply(base, 'refused', 'next')
	elseif state.fold ~= fold then
		return reply(base, 'refused', 'fold')
	end
	local g = state.open
	local fits = flush_fits(base, g, chunks)
	redis.call('HSET', key, 'writing', args[1])
	if not fits then
		return reply(base, 'refused', 'broken') -- the marker stays: the next adopt starts again
	end
	flush_write(base, g, args, chunks, args[2])
	g.nxt_text = args[2]
	redis.call('HSET', key, 'gens', gens_text(state.generations), 'latest_event', args[5],
		'latest_record', args[6], 'tail', args[7])
	if args[8] ~= '' then
		local lost = (state.lost or '') == '' and '' or state.lost .. ' '
		redis.call('HSET', key, 'lost', lost .. g.id .. ':' .. args[8])
	end
	redis.call('HDEL', key, 'writing')
	return { 'ok', CODE }
end

-- seal --------------------------------------------------------------------------------------------

-- Opens a generation at `cut`; what a generation of that name may have left behind goes first.
local function open_generation(base, generations, id, cut, cut_state)
	remove_generation(base, id)
	generations[#generations + 1] = { run = number(id), start = number(cut), nxt = number(cut), id = id,
		start_text = cut, nxt_text = cut }
	redis.call('HSET', base .. ':state', 'gens', gens_text(generations),
		'cut:' .. id, table.concat(cut_state, ','))
end

local function seal(keys, args)
	local base, run = keys[1], number(args[1])
	if #keys ~= 1 or not is_base(base) then
		return bad('key')
	elseif not run or #args ~= 1 then
		return bad('run')
	end
	local state = load(base)
	if not state then
		return { 'refused', 'empty' }
	elseif state.broken then
		return { 'refused', 'broken' }
	end
	for _, g in ipairs(state.generations) do
		if g.run == run then -- asked again: what was so at the cut, not what speed has added since
			local at_cut = state['cut:' .. g.id] or ',,'
			local event, record, tail = at_cut:match('^([^,]*),([^,]*),(.*)$')
			return { 'ok', g.start_text, state.fold, event, record, state.log, tail }
		end
	end
	if run < state.open.run then
		return { 'refused', 'superseded' }
	end
	local cut = state.open.nxt_text
	local event, record, tail = state.latest_event, state.latest_record, state.tail
	open_generation(base, state.generations, args[1], cut, { event, record, tail })
	return { 'ok', cut, state.fold, event, record, state.log, tail }
end

-- adopt -------------------------------------------------------------------------------------------

-- Do the generations from `run` on join the cut, without hole or overlap, and are all their chunks there?
local function joins(base, state, run, cut)
	local found = false
	for _, g in ipairs(state.generations) do
		if g.run >= run then
			if not found and g.run ~= run then
				return false
			end
			if g.start ~= cut or not is_whole(base, g) then
				return false
			end
			found, cut = true, g.nxt
		end
	end
	return found
end

-- "RUN:REST RUN:REST" without the entries of runs that keep(run, rest) refuses
local function filter(text, keep)
	local out = {}
	for id, rest in (text or ''):gmatch('(%d+):(%S+)') do
		if keep(number(id), rest) then
			out[#out + 1] = id .. ':' .. rest
		end
	end
	return table.concat(out, ' ')
end

local function now_ms()
	local time = redis.call('TIME')
	return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- No window of a customer reaches back so far any more.
local function drop_old_customers(base, g)
	local oldest, index = math.floor(now_ms() / 3600000) - CUSTOMER_HOURS, index_key(base, g.id)
	for _, name in ipairs(redis.call('ZRANGE', index, 0, -1)) do
		if name:byte() == 111 and number(name:sub(3)) < oldest then
			redis.call('ZREM', index, name)
			redis.call('UNLINK', chunk_key(base, g.id, name))
		end
	end
end

-- Notes since when a generation is covered by the published run; removes those covered for keep_ms, and those up to a
-- damaged one: nobody could read the partition while it is there, and it is not needed any more.
local function expire(base, state, run, keep_ms)
	local now, since, kept, covered = now_ms(), {}, {}, {}
	for id, ms in (state.covered or ''):gmatch('(%d+):(%d+)') do
		since[number(id)] = number(ms)
	end
	local damaged = 0
	for i, g in ipairs(state.generations) do
		if g.run < run and not is_whole(base, g) then
			damaged = i
		end
	end
	for i, g in ipairs(state.generations) do
		local first = g.run < run and (since[g.run] or now)
		if first and (i <= damaged or #kept == 0 and now - first >= keep_ms) then
			remove_generation(base, g.id)
		else
			kept[#kept + 1] = g
			if first then
				covered[#covered + 1] = g.id .. ':' .. string.format('%.0f', first)
			end
		end
	end
	local oldest = kept[1].run
	local fields = { gens = gens_text(kept), covered = table.concat(covered, ' '),
		lost = filter(state.lost, function(id) return id >= oldest end) }
	for field, text in pairs(fields) do
		if state[field] ~= text then
			redis.call('HSET', base .. ':state', field, text)
		end
	end
end

local function write_cut(base, fold, at_cut)
	redis.call('HSET', base .. ':state', 'fold', fold, 'latest_event', at_cut[1],
		'latest_record', at_cut[2], 'tail', at_cut[3])
end

-- The partition starts again as generation `run` at the cut; at_cut: the state's fields that are so there.
local function start_again(base, state, id, cut, log, fold, at_cut)
	local seen, born = state and state.seen or '0', string.format('%.0f', now_ms())
	if state and number(state.born) and number(state.born) >= tonumber(born) then
		born = string.format('%.0f', number(state.born) + 1)
	end
	for _, g in ipairs(state and state.generations or {}) do
		remove_generation(base, g.id)
	end
	redis.call('DEL', base .. ':state')
	redis.call('HSET', base .. ':state', 'seen', seen, 'born', born, 'log', log, 'lost', '', 'covered',
		'')
	open_generation(base, {}, id, cut, at_cut)
	write_cut(base, fold, at_cut)
end

local function adopt_check(keys, args)
	if #keys ~= 1 or not is_base(keys[1]) then
		return 'key'
	elseif not number(args[1]) then
		return 'publication'
	elseif not number(args[2]) then
		return 'run'
	elseif not number(args[3]) then
		return 'cut'
	elseif not is_fold(args[4]) then
		return 'fold'
	elseif not is_time(args[5]) or not is_time(args[6]) then
		return 'latest_event latest_record'
	elseif not args[7] or #args[7] > 255 then
		return 'log'
	elseif not is_tail(args[8]) then
		return 'tail'
	elseif not number(args[9]) then
		return 'keep_ms'
	elseif args[10] ~= '0' and args[10] ~= '1' then
		return 'force'
	elseif #args ~= 10 then
		return 'count'
	end
end

local function adopt(keys, args)
	local wrong = adopt_check(keys, args)
	if wrong then
		return bad(wrong)
	end
	local base, publication, run, cut = keys[1], number(args[1]), number(args[2]), number(args[3])
	local fold, log, force, at_cut = args[4], args[7], args[10] == '1', { args[5], args[6], args[8] }
	local key, state, what = base .. ':state', load(base), nil

	if state and publication < (number(state.seen) or 0) then
		return reply(base, 'ok', 'stale')
	elseif state and state.log and state.log ~= '' and log ~= '' and state.log ~= log then
		return reply(base, 'ok', 'other_log')
	end
	local usable = state and not state.broken and not force
	if usable and joins(base, state, run, cut) then
		what = 'same'
	elseif usable and state.open.nxt <= cut and state.open.run < run then
		what = 'skipped'
		open_generation(base, state.generations, args[2], args[3], at_cut)
		write_cut(base, fold, at_cut)
	else
		what = 'restarted'
		start_again(base, state, args[2], args[3], log, fold, at_cut)
	end
	if not state or state.seen ~= args[1] then
		redis.call('HSET', key, 'seen', args[1])
	end
	if what ~= 'restarted' then
		expire(base, state, run, number(args[9]))
		for _, g in ipairs(state.generations) do
			drop_old_customers(base, g)
		end
	end
	return reply(base, 'ok', what)
end

-- read --------------------------------------------------------------------------------------------

-- The chunks of a kind with a version above `since`, oldest first: { name, version }.
local function changed_chunks(index, kind, since)
	local out = {}
	if kind ~= 'r' then
		local version = redis.call('ZSCORE', index, kind)
		if version and tonumber(version) > since then
			out[1] = { kind, version }
		end
		return out
	end
	local above = '(' .. string.format('%.0f', since)
	local list = redis.call('ZRANGEBYSCORE', index, above, '+inf', 'WITHSCORES')
	for i = 1, #list, 2 do
		if not list[i]:find('^[po]') then
			out[#out + 1] = { list[i], list[i + 1] }
		end
	end
	return out
end

-- One generation of the reply, or nil and the name of a chunk that is not as it should be.
local function read_generation(base, g, kind, limit, since)
	local chunks = changed_chunks(index_key(base, g.id), kind, since)
	local out = { g.id, '1', g.nxt_text } -- complete, unless the limit stops us
	for i, chunk in ipairs(chunks) do
		if i > limit and chunk[2] ~= chunks[i - 1][2] then
			out[2], out[3] = '0', chunks[i - 1][2]
			break
		end
		local values = redis.call('HGETALL', chunk_key(base, g.id, chunk[1]))
		local fields, header = {}, nil
		for j = 1, #values, 2 do
			if values[j] == '#' then
				header = values[j + 1]
			else
				fields[#fields + 1] = values[j]
				fields[#fields + 1] = values[j + 1]
			end
		end
		if header ~= g.id .. ' ' .. chunk[2] then
			return nil, chunk[1]
		end
		out[#out + 1] = { chunk[1], chunk[2], fields }
	end
	return out
end

local function read_check(keys, args)
	if #keys ~= 1 or not is_base(keys[1]) then
		return 'key'
	elseif args[1] ~= 'r' and number((args[1] or ''):match('^p:(.+)$')) == nil then
		return 'kind'
	elseif (number(args[2]) or 0) < 1 then
		return 'limit'
	end
	for i = 3, #args, 2 do
		local run, before = number(args[i]), i > 3 and number(args[i - 2]) or -1
		if not run or not number(args[i + 1]) or run <= before then
			return 'run since'
		end
	end
end

local function read(keys, args)
	local wrong = read_check(keys, args)
	if wrong then
		return bad(wrong)
	end
	local base = keys[1]
	local state = load(base)
	local out = { state and state.list or {}, redis.call('HGETALL', base .. ':beat') }
	if not state or #args < 3 then
		return out
	elseif state.broken then
		return redis.error_reply('DAMAGED ' .. base .. ':state a write broke off')
	end
	local since, newest = {}, number(args[#args - 1])
	for i = 3, #args, 2 do
		since[number(args[i])] = number(args[i + 1])
	end
	for _, g in ipairs(state.generations) do
		local from = since[g.run] or (g.run > newest and 0)
		if from then
			if not index_ends(base, g) then
				return redis.error_reply('DAMAGED ' .. index_key(base, g.id))
			end
			local values, damaged = read_generation(base, g, args[1], number(args[2]), from)
			if not values then
				return redis.error_reply('DAMAGED ' .. chunk_key(base, g.id, damaged))
			end
			out[#out + 1] = values
		end
	end
	return out
end

-- customer ----------------------------------------------------------------------------------------

local function customer_check(keys, args)
	if #keys ~= 1 or not is_base(keys[1]) then
		return 'key'
	elseif not args[1] or args[1] == '' then
		return 'customer'
	elseif not number(args[2]) or not number(args[3]) or number(args[3]) - number(args[2]) > CUSTOMER_HOURS then
		return 'from_hour to_hour'
	elseif not number(args[4]) then
		return 'run'
	elseif #args ~= 4 then
		return 'count'
	end
end

-- The fields of one customer in a chunk, in the form of r:HOUR: minute, currency, what. nil when they are damaged.
local function customer_fields(key, customer)
	local entries, out = redis.call('HGET', key, '@' .. customer), {}
	if entries and not is_entries(entries) then
		return nil
	end
	for bucket, o, g, c, r in (entries or ''):gmatch(';(.....)(%d+),(%d+),(%d+),(%d+)') do
		for what, value in pairs({ o = o, g = g, c = c, r = r }) do
			if value ~= '0' then
				out[#out + 1] = bucket .. what
				out[#out + 1] = value
			end
		end
	end
	return out
end

local function customer(keys, args)
	local wrong = customer_check(keys, args)
	if wrong then
		return bad(wrong)
	end
	local base, run = keys[1], number(args[4])
	local state = load(base)
	local out = { state and state.list or {}, {} }
	if not state then
		return out
	elseif state.broken then
		return redis.error_reply('DAMAGED ' .. base .. ':state a write broke off')
	end
	for _, g in ipairs(state.generations) do
		if g.run >= run then
			local values = { g.id, '1', g.nxt_text }
			for hour = number(args[2]), number(args[3]) do
				local name = 'o:' .. string.format('%.0f', hour)
				local key = chunk_key(base, g.id, name)
				local version = redis.call('ZSCORE', index_key(base, g.id), name)
				if version then
					local fields = customer_fields(key, args[1])
					if not fields or redis.call('HGET', key, '#') ~= g.id .. ' ' .. version then
						return redis.error_reply('DAMAGED ' .. key)
					end
					values[#values + 1] = { name, version, fields }
				end
			end
			if not index_ends(base, g) then
				return redis.error_reply('DAMAGED ' .. index_key(base, g.id))
			end
			out[#out + 1] = values
		end
	end
	return out
end

-- drop --------------------------------------------------------------------------------------------

local function drop(keys, args)
	if #keys ~= 1 or not is_base(keys[1]) or #args ~= 0 then
		return bad('key')
	end
	local base = keys[1]
	local state = load(base)
	for _, g in ipairs(state and state.generations or {}) do
		remove_generation(base, g.id)
	end
	redis.call('UNLINK', base .. ':state', base .. ':beat')
	return { 'ok' }
end

-- Only a flush adds much: the others must work when memory is full, for they are what frees it.
redis.register_function('lambda_1_flush', flush)
redis.register_function{ function_name = 'lambda_1_seal', callback = seal, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'lambda_1_adopt', callback = adopt, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'lambda_1_read', callback = read, flags = { 'no-writes' } }
redis.register_function{ function_name = 'lambda_1_customer', callback = customer, flags = { 'no-writes' } }
redis.register_function{ function_name = 'lambda_1_drop', callback = drop, flags = { 'allow-oom' } }
