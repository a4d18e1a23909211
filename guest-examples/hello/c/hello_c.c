// Says hello, from C through wasi-libc.
#include <stdio.h>

int main(void) {
    puts("Hello from C on wasm32-wasip1");
    return 0;
}
