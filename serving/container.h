/* From an embedded member, which a callback is given, to the struct that holds it. */
#ifndef SERVING_CONTAINER_H
#define SERVING_CONTAINER_H

#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
