/* Any bytes as the inside of a string of JSON, for people: what is no printable UTF-8 shows as \xNN. */
#pragma once

#include "server/text.h"
#include "shards/base/bytes.h"

void escape_add(struct text *out, struct bytes bytes);
