/*
 * diff_cover - what one result stands for, made ready for questions in the order of addresses.
 *
 * Cells of the same protocol and ports become one with all of their addresses; those of the same
 * addresses then become one with all of their ports: a job of a thousand shards has a handful left.
 * Their address ranges are walked once while the addresses that are asked about go up.
 */
#pragma once

#include "model/host.h"
#include "store/store.h"

struct diff_cover;

int diff_cover_new(struct store *s, int64_t job_num, struct diff_cover **out, struct err *e);
void diff_cover_free(struct diff_cover *c);
/* The address that the next questions are about: not before the one of the last call. */
void diff_cover_seek(struct diff_cover *c, const uint8_t key[HOST_KEY]);
/* It was found out whether it is up. */
bool diff_cover_host(const struct diff_cover *c);
/* The port was probed, if the host was up, or was not found to be. */
bool diff_cover_port(const struct diff_cover *c, const char *protocol, uint16_t port, bool up);
