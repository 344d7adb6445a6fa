/* What can fail, as a value. A function that can fail returns one of these, and the compiler warns when it
 * is dropped.
 *
 * *Absent* is not a failure (NULL or false says it), and *impossible* is `check`. Never `errno` above a system call:
 * the edge that made the call turns it into a status, and keeps the message for the log. */
#pragma once

enum status {
    STATUS_OK = 0,
    STATUS_NO_MEMORY,   /* an allocation was refused, or a reservation is full */
    STATUS_FULL,        /* a bounded queue, buffer or table is at its maximum */
    STATUS_TOO_LONG,    /* a size passes a limit */
    STATUS_NO_ROOM,     /* nor would there be, if all else went */
    STATUS_WRONG_TYPE,  /* the key holds a value of another type */
    STATUS_NOT_NUMBER,  /* the text is not the number asked for, or out of its range */
    STATUS_OVERFLOW,    /* the result would leave its range */
    STATUS_UNSUPPORTED, /* the kernel or the build lacks it */
    STATUS_REFUSED,     /* the system refused (permission, limit) */
    STATUS_FAILED,      /* an input/output error; the log has its text */
};

#define must_use __attribute__((warn_unused_result))
