#include "edge/amqp_lib.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

#define ROW(member, symbol)                       \
    {                                             \
        offsetof(struct amqp_lib, member), symbol \
    }
static const struct {
    size_t at;
    const char *symbol;
} rows[] = {
    ROW(new_connection, "amqp_new_connection"),
    ROW(destroy_connection, "amqp_destroy_connection"),
    ROW(tcp_socket_new, "amqp_tcp_socket_new"),
    ROW(ssl_socket_new, "amqp_ssl_socket_new"),
    ROW(ssl_socket_set_cacert, "amqp_ssl_socket_set_cacert"),
    ROW(ssl_socket_set_verify_peer, "amqp_ssl_socket_set_verify_peer"),
    ROW(ssl_socket_set_verify_hostname, "amqp_ssl_socket_set_verify_hostname"),
    ROW(socket_open_noblock, "amqp_socket_open_noblock"),
    ROW(set_handshake_timeout, "amqp_set_handshake_timeout"),
    ROW(set_rpc_timeout, "amqp_set_rpc_timeout"),
    ROW(login_with_properties, "amqp_login_with_properties"),
    ROW(get_sockfd, "amqp_get_sockfd"),
    ROW(get_rpc_reply, "amqp_get_rpc_reply"),
    ROW(error_string, "amqp_error_string2"),
    ROW(channel_open, "amqp_channel_open"),
    ROW(send_method, "amqp_send_method"),
    ROW(queue_declare, "amqp_queue_declare"),
    ROW(exchange_declare, "amqp_exchange_declare"),
    ROW(queue_bind, "amqp_queue_bind"),
    ROW(basic_qos, "amqp_basic_qos"),
    ROW(basic_consume, "amqp_basic_consume"),
    ROW(confirm_select, "amqp_confirm_select"),
    ROW(basic_publish, "amqp_basic_publish"),
    ROW(basic_ack, "amqp_basic_ack"),
    ROW(basic_nack, "amqp_basic_nack"),
    ROW(wait_frame, "amqp_simple_wait_frame_noblock"),
    ROW(maybe_release_buffers, "amqp_maybe_release_buffers"),
    ROW(decode_properties, "amqp_decode_properties"),
    ROW(init_pool, "init_amqp_pool"),
    ROW(empty_pool, "empty_amqp_pool"),
};

static int load(struct amqp_lib *lib, struct err *e)
{
    void *so = dlopen("librabbitmq.so.4", RTLD_NOW | RTLD_LOCAL); /* never closed */

    if (!so) {
        return err_set(e, ERR_NOT_FOUND,
                       "RabbitMQ needs librabbitmq, which is not installed: "
                       "apt-get install librabbitmq4");
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        void *fn = dlsym(so, rows[i].symbol);

        if (!fn) {
            dlclose(so);
            return err_set(e, ERR_NOT_FOUND, "librabbitmq is too old, it has no %s()",
                           rows[i].symbol);
        }
        memcpy((char *)lib + rows[i].at, &fn, sizeof fn);
    }
    return 0;
}

int amqp_lib(const struct amqp_lib **out, struct err *e)
{
    static struct amqp_lib lib;
    static bool ready;

    if (!ready) {
        int rc = load(&lib, e);

        if (rc != 0) {
            return rc;
        }
        ready = true;
    }
    *out = &lib;
    return 0;
}
