#include "edge/broker.h"

#include "base/mem.h"
#include "edge/edge_name.h"

void broker_message_free(struct broker_message *m)
{
    if (!m) {
        return;
    }
    buf_done(&m->body);
    buf_done(&m->properties);
    free(m->content_type);
    free(m->content_encoding);
    free(m->correlation);
    free(m->reply_to);
    free(m->message_id);
    json_decref(m->headers);
    free(m);
}

int broker_destination(const struct edge_source *s, const struct edge_result *r, const char **out,
                       struct err *e)
{
    const char *to = r->reply_to;

    *out = NULL;
    if (r->form == EDGE_CELERY && !*to) {
        return 0;
    }
    if (r->form != EDGE_CELERY && r->state == RESULT_STARTED) {
        return 0;
    }
    to = *to ? to : s->results;
    if (!edge_name_ok(to) || edge_name_is_ours(to, s->queue)) {
        return err_set(e, ERR_INVALID, "results may not be sent to this name");
    }
    *out = to;
    return 0;
}
