#include "connection.h"

void connection_init(struct connection *connection, int fd, struct buffer_pool *pool) {
    *connection = (struct connection){.fd = fd};
    buffer_init(&connection->output, pool, 0);
    connection->wire = &connection->output;
}

static void drop(struct buffer *buffer) {
    buffer_consume(buffer, buffer_waiting(buffer));
}

void connection_drop_output(struct connection *connection) {
    drop(connection->wire);
    drop(&connection->output);
}

void connection_list_init(struct connection_list *list, enum connection_link link) {
    *list = (struct connection_list){.link = link};
}

void connection_list_push(struct connection_list *list, struct connection *connection) {
    if (connection->is_linked[list->link]) return;
    connection->is_linked[list->link] = true;
    connection->next[list->link] = NULL;
    if (list->tail == NULL) {
        list->head = connection;
    } else {
        list->tail->next[list->link] = connection;
    }
    list->tail = connection;
    list->count++;
}

struct connection *connection_list_pop(struct connection_list *list) {
    struct connection *connection = list->head;
    if (connection == NULL) return NULL;
    connection->is_linked[list->link] = false;
    list->head = connection->next[list->link];
    if (list->head == NULL) list->tail = NULL;
    list->count--;
    return connection;
}
