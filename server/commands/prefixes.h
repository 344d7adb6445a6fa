/* CACHE PREFIXES: what is asked for, by the beginning of the keys' names. */
#pragma once

struct call;
void cache_prefixes(struct call *call);
