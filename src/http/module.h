/* Shared by the files of strata.http that know Lua. */
#ifndef STRATA_HTTP_MODULE_H
#define STRATA_HTTP_MODULE_H

#include "http/client.h"
#include "http/pipe.h"
#include "lua/binding.h"

#define HTTP_CLIENT_TYPE "strata.http.Client"
#define HTTP_EXCHANGE_TYPE "strata.http.Exchange"
#define HTTP_PIPE_TYPE "strata.http.Pipe"

/* Throws when it was closed, or belongs to another process. */
struct strata_http_client *strata_http_check_client(lua_State *L, int arg);

/* Throws when it was closed. */
struct strata_pipe *strata_http_check_pipe(lua_State *L, int arg);

/* Throws when the client of an object belongs to another process. */
void strata_http_check_process(lua_State *L, const struct strata_http_client *c);

/* Seconds to wait: 0 when absent. */
lua_Number strata_http_check_seconds(lua_State *L, int arg);

/* Throws for a field of the table at `arg` that is none of the names, which end in NULL. */
void strata_http_check_fields(lua_State *L, int arg, const char *const *names);

/* The number in a field, whole where `whole`; `otherwise` when absent. Throws when it is out of
 * 0 .. max. */
lua_Number strata_http_number_field(lua_State *L, int arg, const char *field, lua_Number otherwise,
                                    lua_Number max);

/* client:start(request) */
int strata_http_start(lua_State *L);

/* Each makes its class, and adds its functions to the module table on top of the stack. */
void strata_http_register_exchange(lua_State *L);
void strata_http_register_pipe(lua_State *L);

#endif
