#include "tls_transport.h"

#include <openssl/bio.h>

static int transport_read(BIO *bio, char *out, int size) {
    struct tls_transport *transport = BIO_get_data(bio);
    struct bytes *received = &transport->received;
    BIO_clear_retry_flags(bio);
    if (received->size == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if ((size_t)size > received->size) size = (int)received->size;
    memcpy(out, received->data, (size_t)size);
    *received = bytes_of(received->data + size, received->size - (size_t)size);
    return size;
}

static int transport_write(BIO *bio, const char *data, int size) {
    struct tls_transport *transport = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buffer_append(&transport->wire, bytes_of(data, (size_t)size));
    return transport->wire.has_failed ? -1 : size;
}

/* All that is asked: to flush, which is done, and what we can't. */
static long transport_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

struct bio_method_st *tls_transport_kind(void) {
    BIO_METHOD *kind = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sherd");
    if (kind == NULL) return NULL;
    BIO_meth_set_read(kind, transport_read);
    BIO_meth_set_write(kind, transport_write);
    BIO_meth_set_ctrl(kind, transport_control);
    return kind;
}

struct bio_st *tls_transport_open(struct bio_method_st *kind, struct tls_transport *transport) {
    BIO *bio = BIO_new(kind);
    if (bio == NULL) return NULL;
    BIO_set_data(bio, transport);
    BIO_set_init(bio, 1);
    return bio;
}
