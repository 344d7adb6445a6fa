#include "inheritance.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shards/base/path.h"

static bool is_listening(int fd) {
    int answer = 0;
    socklen_t size = sizeof answer;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &answer, &size) == 0 && answer != 0;
}

bool inheritance_add(struct inheritance *inheritance, int fd, const char *path) {
    if (inheritance->count == INHERITANCE_MAX || !is_listening(fd)) {
        close(fd);
        return false;
    }
    struct listener *item = &inheritance->items[inheritance->count++];
    *item = (struct listener){.fd = fd, .keeps_file = true};
    snprintf(item->path, sizeof item->path, "%s", path);
    if (item->path[0] == '\0') {
        address_of_self(fd, item->text);
    } else {
        snprintf(item->text, sizeof item->text, "%s", path);
    }
    return true;
}

static bool take(struct inheritance *inheritance, struct listener *item,
                 struct listener *listener) {
    *listener = *item;
    *item = inheritance->items[--inheritance->count];
    return true;
}

bool inheritance_take_tcp(struct inheritance *inheritance, const char *host, uint16_t port,
                          struct listener *listener) {
    struct address address;
    char text[ADDRESS_TEXT_MAX];
    if (inheritance->count == 0 || address_parse(&address, host, port, text) != STATUS_OK)
        return false;
    address_write(&address, text);
    for (uint32_t i = 0; i < inheritance->count; i++) {
        struct listener *item = &inheritance->items[i];
        if (item->path[0] == '\0' && strcmp(item->text, text) == 0)
            return take(inheritance, item, listener);
    }
    return false;
}

/* What it was bound to is another process's spelling. Ours is what holds here, for whoever removes the file. */
static void spell(struct listener *listener, const char *path) {
    snprintf(listener->path, sizeof listener->path, "%s", path);
    snprintf(listener->text, sizeof listener->text, "%s", path);
}

bool inheritance_take_unix(struct inheritance *inheritance, const char *path,
                           struct listener *listener) {
    for (uint32_t i = 0; i < inheritance->count; i++) {
        struct listener *item = &inheritance->items[i];
        if (item->path[0] == '\0' || !path_is_same(item->path, path)) continue;
        spell(item, path);
        return take(inheritance, item, listener);
    }
    return false;
}

void inheritance_release(struct inheritance *inheritance, bool removes_files) {
    while (inheritance->count > 0) {
        struct listener *item = &inheritance->items[--inheritance->count];
        item->keeps_file = !removes_files;
        listener_close(item);
    }
}
