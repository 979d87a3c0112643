/*
 * Preloaded beside a sanitizer's run-time library: keeps LD_PRELOAD from the
 * programs that the process starts, which have nothing to do with it.
 */
#include <stdlib.h>

__attribute__((constructor)) static void forget_preload(void)
{
	unsetenv("LD_PRELOAD");
}
