/* message_inside - what the writer and the reader of messages agree on. Private to transport/. */
#pragma once

enum {
    MESSAGE_HEAD = 4,             /* the length */
    MESSAGE_WORDS_MAX = 64 << 10, /* bytes of a text for people: longer ones are cut */
    MESSAGE_NAME_MAX = 255,       /* of a name or a version */
    MESSAGE_LIST_MAX = 4096,      /* entries of a list of strings */
};
