/*
 * amqp_lib - librabbitmq, loaded in the edge process and nowhere else: it brings OpenSSL with it,
 * and whoever has no RabbitMQ need not have it installed. Private to edge/.
 */
#pragma once

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

#include "base/err.h"

struct amqp_lib {
    __typeof__(&amqp_new_connection) new_connection;
    __typeof__(&amqp_destroy_connection) destroy_connection;
    __typeof__(&amqp_tcp_socket_new) tcp_socket_new;
    __typeof__(&amqp_ssl_socket_new) ssl_socket_new;
    __typeof__(&amqp_ssl_socket_set_cacert) ssl_socket_set_cacert;
    __typeof__(&amqp_ssl_socket_set_verify_peer) ssl_socket_set_verify_peer;
    __typeof__(&amqp_ssl_socket_set_verify_hostname) ssl_socket_set_verify_hostname;
    __typeof__(&amqp_socket_open_noblock) socket_open_noblock;
    __typeof__(&amqp_set_handshake_timeout) set_handshake_timeout;
    __typeof__(&amqp_set_rpc_timeout) set_rpc_timeout;
    __typeof__(&amqp_login_with_properties) login_with_properties;
    __typeof__(&amqp_get_sockfd) get_sockfd;
    __typeof__(&amqp_get_rpc_reply) get_rpc_reply;
    __typeof__(&amqp_error_string2) error_string;
    __typeof__(&amqp_channel_open) channel_open;
    __typeof__(&amqp_send_method) send_method;
    __typeof__(&amqp_queue_declare) queue_declare;
    __typeof__(&amqp_exchange_declare) exchange_declare;
    __typeof__(&amqp_queue_bind) queue_bind;
    __typeof__(&amqp_basic_qos) basic_qos;
    __typeof__(&amqp_basic_consume) basic_consume;
    __typeof__(&amqp_confirm_select) confirm_select;
    __typeof__(&amqp_basic_publish) basic_publish;
    __typeof__(&amqp_basic_ack) basic_ack;
    __typeof__(&amqp_basic_nack) basic_nack;
    __typeof__(&amqp_simple_wait_frame_noblock) wait_frame;
    __typeof__(&amqp_maybe_release_buffers) maybe_release_buffers;
    __typeof__(&amqp_decode_properties) decode_properties;
    __typeof__(&init_amqp_pool) init_pool;
    __typeof__(&empty_amqp_pool) empty_pool;
};

/* Loads it once, for as long as the process lives. ERR_NOT_FOUND: it is not installed, and e names
 * the package. */
int amqp_lib(const struct amqp_lib **out, struct err *e);
