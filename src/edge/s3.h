/*
 * s3 - what is said to S3-compatible storage, and what its answers mean. No I/O.
 *
 * Keys and prefixes are made of characters that need no encoding (depot_config_parse()), queries
 * are built sorted and encoded: the signature is made over what is sent, octet by octet.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "edge/depot.h"

enum {
    S3_XML_MAX = 64 << 10,   /* of an answer; more is dropped */
    S3_WHOLE_MAX = 16 << 20, /* larger objects are sent in parts */
    S3_PARTS_MAX = 10000,
    S3_RETRY_MS = 1000, /* the first repetition, doubling */
    S3_RETRY_MAX_MS = 300000,
    S3_CODE_SIZE = 64,
};

/* Of an object below the prefix; query NULL, or as s3_query_part(). Caller frees. */
char *s3_url(const struct depot_config *c, const char *name, const char *query);
/* "partNumber=N&uploadId=ID", or "uploadId=ID" for number 0. Caller frees. */
char *s3_query_part(unsigned number, const char *upload_id);

/* How large the parts of an object are. */
uint64_t s3_part_size(uint64_t size);
unsigned s3_parts(uint64_t size);

/* The text of the first <tag> in an answer, entities resolved; false: none that fits into out. */
bool s3_xml_text(const char *xml, const char *tag, char *out, size_t size);
/* CompleteMultipartUpload; the tags of the parts are in order. */
void s3_complete_body(struct buf *out, const struct strvec *etags);

enum s3_means {
    S3_OK,
    S3_ABSENT,  /* no such object */
    S3_LOST,    /* no such upload: it has to be begun again */
    S3_AGAIN,   /* a fault of the moment */
    S3_REFUSED, /* somebody has to do something about it: it is tried at the slow end */
};
/* status 0: there was no answer. body NULL: none (HEAD). code: S3's, "" if it told none. */
enum s3_means s3_answer(long status, const char *body, char code[S3_CODE_SIZE]);
/* Of the n-th failure in a row, from 1; random: any number. */
uint32_t s3_wait_ms(enum s3_means m, unsigned n, uint32_t random);
