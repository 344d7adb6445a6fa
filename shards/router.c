#include "router.h"

#include <string.h>

struct bytes router_tag(struct bytes key) {
    if (key.size == 0) return key;
    const char *end = key.data + key.size;
    const char *open = memchr(key.data, '{', key.size);
    if (open == NULL) return key;
    const char *start = open + 1;
    const char *close = memchr(start, '}', (size_t)(end - start));
    if (close == NULL || close == start) return key;
    return bytes_of(start, (size_t)(close - start));
}
