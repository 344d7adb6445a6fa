/* Where OpenSSL's bytes come from and go to: a BIO that reads from received bytes where they lie, and writes to
 * a buffer. No socket, no copy but the one into OpenSSL's own record. One worker only. */
#pragma once

#include "buffer.h"
#include "shards/base/bytes.h"

struct tls_transport {
    struct bytes received; /* what is yet to be read; borrowed while OpenSSL is called */
    struct buffer wire;    /* what is written. Once it has failed, so does every write */
};

/* The kind of BIO; NULL when memory is refused. BIO_meth_free gives it back, when no BIO of it is left. */
struct bio_method_st *tls_transport_kind(void);
/* A BIO of that kind over `transport`, which outlives it; NULL when memory is refused. */
struct bio_st *tls_transport_open(struct bio_method_st *kind, struct tls_transport *transport);
