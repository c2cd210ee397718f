/* nft_inside - messages of a batch, for the files that build them. */
#pragma once

#include "netd/nft.h"

enum { MESSAGE_MAX = 8192 /* but for elements */ };

/* One at a time: from here to nft_message_end() attributes go into n->msg. */
void nft_message(struct nft *n, uint16_t type, uint16_t flags);
void nft_message_room(struct nft *n, uint16_t type, uint16_t flags, size_t room);
void nft_message_end(struct nft *n);
void nft_put_u32(struct nft *n, uint16_t type, uint32_t v);
