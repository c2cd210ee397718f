/*
 * api_pump - long answers that are made a step at a time. Embed a struct pump.
 */
#pragma once

#include "http/api_priv.h"

struct pump {
    /* Appends to text: about API_CHUNK bytes, or what some milliseconds allow. 1: there is more, 0:
     * that was the end, an error breaks the connection off. */
    int (*step)(struct pump *p, struct err *e);
    void (*free)(struct pump *p); /* called once; text is the pump's own */
    struct buf text;

    /* private */
    struct http_stream st;
    struct api *api;
    struct pump *next;
    bool queued, turn;
};

/* Answers 200; p is the pump's from now on. */
void pump_reply(struct api *a, struct http_req *r, const char *type, struct pump *p);
void api_pumps_stop(struct api *a); /* at the end of the API, after its server */
