#include "edge/amqp_table.h"

#include <math.h>

#include "base/mem.h"

enum { DEPTH_MAX = 8, ENTRIES_MAX = 256 };

static json_t *value_json(const amqp_field_value_t *v, int depth);

static json_t *text_json(amqp_bytes_t b)
{
    json_t *s = json_stringn(b.bytes ? b.bytes : "", b.len);

    return s ? s : json_null(); /* it is not UTF-8 */
}

static json_t *object_json(const amqp_table_t *t, int depth)
{
    json_t *o = json_object();

    for (int i = 0; i < t->num_entries && i < ENTRIES_MAX; i++) {
        const amqp_table_entry_t *x = &t->entries[i];
        auto_free char *key = xstrndup(x->key.len ? x->key.bytes : "", x->key.len);

        (void)json_object_set_new(o, key, value_json(&x->value, depth + 1)); /* or it is no text */
    }
    return o;
}

static json_t *array_json(const amqp_array_t *a, int depth)
{
    json_t *out = json_array();

    for (int i = 0; i < a->num_entries && i < ENTRIES_MAX; i++) {
        (void)json_array_append_new(out, value_json(&a->entries[i], depth + 1));
    }
    return out;
}

static json_t *real_json(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *value_json(const amqp_field_value_t *v, int depth)
{
    if (depth > DEPTH_MAX) {
        return json_null();
    }
    switch (v->kind) {
    case AMQP_FIELD_KIND_BOOLEAN:
        return json_boolean(v->value.boolean);
    case AMQP_FIELD_KIND_I8:
        return json_integer(v->value.i8);
    case AMQP_FIELD_KIND_U8:
        return json_integer(v->value.u8);
    case AMQP_FIELD_KIND_I16:
        return json_integer(v->value.i16);
    case AMQP_FIELD_KIND_U16:
        return json_integer(v->value.u16);
    case AMQP_FIELD_KIND_I32:
        return json_integer(v->value.i32);
    case AMQP_FIELD_KIND_U32:
        return json_integer(v->value.u32);
    case AMQP_FIELD_KIND_I64:
        return json_integer(v->value.i64);
    case AMQP_FIELD_KIND_U64:
    case AMQP_FIELD_KIND_TIMESTAMP:
        return json_integer((json_int_t)v->value.u64);
    case AMQP_FIELD_KIND_F32:
        return real_json((double)v->value.f32);
    case AMQP_FIELD_KIND_F64:
        return real_json(v->value.f64);
    case AMQP_FIELD_KIND_UTF8:
    case AMQP_FIELD_KIND_BYTES:
        return text_json(v->value.bytes);
    case AMQP_FIELD_KIND_TABLE:
        return object_json(&v->value.table, depth);
    case AMQP_FIELD_KIND_ARRAY:
        return array_json(&v->value.array, depth);
    default:
        return json_null();
    }
}

json_t *amqp_table_json(const amqp_table_t *t)
{
    return object_json(t, 0);
}
