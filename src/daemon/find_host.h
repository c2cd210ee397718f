/*
 * find_host - the address of one host name, by the resolver, without waiting.
 */
#pragma once

/*
 * A hook of struct redis_events: arg is a struct resolver. found() is called later, with the first
 * address as text (borrowed) or NULL; never after the loop's last turn.
 */
void find_host(void *arg, const char *host, void (*found)(void *found_arg, const char *address),
               void *found_arg);
