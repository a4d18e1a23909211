// The program of an image that is a directory: prints the image's own /etc/motd, then a file given by name, through stdio.
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int print(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        fputs(line, stdout);
    }
    int failed = ferror(file) != 0;
    fclose(file);
    return failed;
}

int main(int argc, char **argv) {
    printf("I am %s\n", argc > 0 ? argv[0] : "(nobody)");
    int failed = print("/etc/motd");
    for (int i = 1; i < argc; i++) {
        failed |= print(argv[i]);
    }
    return failed;
}
