/* CACHE CURVE: what this cache would hit with less memory, and with more. */
#pragma once

struct call;
void cache_curve(struct call *call);
